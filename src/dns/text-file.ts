/** A small file of the system that can change under us: read when it is first needed, and again when it has changed. */
import { readFile, stat } from "node:fs/promises";
import { RingloomError } from "../errors.js";

/** What is read of one, at most: block lists in /etc/hosts have grown to some megabytes. */
const FILE_BYTES_MAX = 32 * 1024 * 1024;
/** How often its time of change is looked at, in milliseconds. */
const CHECK_MS = 1_000;

/** A file, parsed. One that is missing or may not be read counts as empty. */
export class TextFile<Parsed> {
  readonly #path: string | undefined;
  readonly #parse: (text: string) => Parsed;
  readonly #nowMs: () => number;
  #parsed: Parsed;
  #version = "";
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #checking: Promise<void> | undefined;

  /** `path` undefined is no file. */
  constructor(path: string | undefined, parse: (text: string) => Parsed, nowMs: () => number) {
    this.#path = path;
    this.#parse = parse;
    this.#nowMs = nowMs;
    this.#parsed = parse("");
  }

  /** @throws RingloomError `ERR_RINGLOOM_TOO_LARGE`. */
  async read(): Promise<Parsed> {
    if (this.#path !== undefined && this.#nowMs() - this.#checkedAtMs >= CHECK_MS) {
      this.#checking ??= this.#check(this.#path).finally(() => {
        this.#checking = undefined;
      });
      await this.#checking;
    }
    return this.#parsed;
  }

  async #check(path: string): Promise<void> {
    const status = await stat(path).catch(() => undefined);
    const version = status === undefined ? "" : `${status.mtimeMs} ${status.size} ${status.ino}`;
    if (version !== this.#version) {
      if (status !== undefined && status.size > FILE_BYTES_MAX)
        throw new RingloomError(
          "ERR_RINGLOOM_TOO_LARGE",
          `Cannot read ${path}: it has more than ${FILE_BYTES_MAX} bytes`,
          {
            operation: "lookup",
            details: { path, size: status.size },
          },
        );
      this.#parsed = this.#parse(status === undefined ? "" : await readFile(path, "utf8").catch(() => ""));
      this.#version = version;
    }
    this.#checkedAtMs = this.#nowMs();
  }
}
