/** The names of files as users give them. */
import { dirname, join } from "node:path";
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

/** The name of something in a directory. Bytes stay bytes: those that are no UTF-8 would name something else as text. */
export function nameBelow(folder: FilePath, name: FilePath): FilePath {
  if (typeof folder === "string" && typeof name === "string") return join(folder, name);
  const before = Buffer.from(folder);
  const separator = before.at(-1) === SLASH ? [] : [Buffer.of(SLASH)];
  return Buffer.concat([before, ...separator, Buffer.from(name)]);
}

/** The directory that a name stands in, as dirname(3) gives it; bytes stay bytes. */
export function folderOf(path: FilePath): FilePath {
  if (typeof path === "string") return dirname(path);
  const name = path.subarray(0, endWithoutSlashes(path, path.length));
  const slash = name.lastIndexOf(SLASH);
  return slash === -1 ? Buffer.from(".") : path.subarray(0, Math.max(1, endWithoutSlashes(path, slash)));
}

/** The name as text, for messages and for calls that work on the text of names. */
export function toText(name: FileName): string {
  const path = toPath(name);
  return typeof path === "string" ? path : Buffer.from(path).toString();
}

const SLASH = 0x2f;

/** A root keeps its slash. */
function endWithoutSlashes(path: Uint8Array, end: number): number {
  let kept = end;
  while (kept > 1 && path[kept - 1] === SLASH) kept -= 1;
  return kept;
}

function checked(name: string): string {
  if (name.includes("\0")) throw new TypeError("Cannot use a name with a zero byte in it");
  return name;
}
