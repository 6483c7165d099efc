/** Files of descriptors that are open already: a descriptor is the process's, so any thread can go on with what another one has opened. */
import { fstatSync } from "node:fs";
import { checkDescriptor } from "../driver/arguments.js";
import { RingloomError } from "../errors.js";
import { nodeFailure } from "./call.js";
import { File } from "./file.js";
import { type OpenOptions, openFlags } from "./open-options.js";

const NAMES = ["read", "write", "append", "direct"];

/**
 * What the descriptor was opened for, as in {@link OpenOptions}; the kernel refuses what it was not.
 * @experimental
 */
export type AdoptOptions = Pick<OpenOptions, "read" | "write" | "append" | "direct">;

/**
 * Makes a file of an open descriptor, which is the file's from then on: one that `File.release` gave, here or on another thread, or that the program has from elsewhere. Reads and writes without a position begin at 0, or for a pipe where it is.
 *
 * ```ts run
 * import { adoptFile, open, remove, writeFile } from "ringloom/fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 *
 * const path = join(tmpdir(), `ringloom-adopt-${process.pid}`);
 * await writeFile(path, "hello");
 * const opened = await open(path);
 * const descriptor = opened.release(); // a number, which a task can be called with
 *
 * const file = adoptFile(descriptor);
 * console.log(Buffer.from(await file.readToEnd()).toString()); // hello
 * await file.close();
 * await remove(path);
 * ```
 * @throws RingloomError `EBADF` for a descriptor that is not open, `ERR_RINGLOOM_INVALID_OPTION`; a RangeError for what is no descriptor. It is still the caller's then.
 * @experimental
 */
export function adoptFile(descriptor: number, options: AdoptOptions = {}): File {
  checkDescriptor("adopt", descriptor);
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined)
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot adopt a file: there is no option ${unknown}`, {
      operation: "adopt",
      details: { ...options },
    });
  openFlags(options);
  const path = `descriptor ${descriptor}`;
  try {
    fstatSync(descriptor);
  } catch (error) {
    throw nodeFailure({ operation: "adopt", details: { path }, options: undefined }, error);
  }
  return new File(descriptor, path, options);
}
