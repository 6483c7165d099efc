/** The names of files as users give them. */
import { fileURLToPath } from "node:url";
import type { FilePath } from "../driver/contract.js";

/**
 * The name of a file: text, a `file:` URL, or the bytes of a name that is no text.
 * @experimental
 */
export type FileName = string | URL | Uint8Array;

/** The name as the driver takes it. Throws a TypeError for what is none. */
export function toPath(name: FileName): FilePath {
  if (typeof name === "string") return checked(name);
  if (name instanceof URL) return fileURLToPath(name);
  if (name instanceof Uint8Array) return name;
  throw new TypeError(`Cannot use ${typeof name} as the name of a file: it is not a string, a URL or a Uint8Array`);
}

/** The name as node:fs takes it. */
export function toNodePath(name: FileName): string | Buffer {
  const path = toPath(name);
  return typeof path === "string" ? path : Buffer.from(path.buffer, path.byteOffset, path.byteLength);
}

/** The name as text, for messages and for calls that work on the text of names. */
export function toText(name: FileName): string {
  const path = toPath(name);
  return typeof path === "string" ? path : Buffer.from(path).toString();
}

function checked(name: string): string {
  if (name.includes("\0")) throw new TypeError("Cannot use a name with a zero byte in it");
  return name;
}
