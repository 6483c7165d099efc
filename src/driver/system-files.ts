/** Reading the small text files of /proc and /sys. A parameter everywhere, so that tests can stand a machine up from fixtures. */
import { readFileSync } from "node:fs";

/** Reads a small text file whole; undefined when it does not exist or may not be read. */
export type FileReader = (path: string) => string | undefined;

/** The {@link FileReader} of the real machine. */
export function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
