/** How a file is opened, and which combinations make sense. */
import { constants } from "node:fs";
import { RingloomError } from "../errors.js";
import type { CallOptions } from "./call.js";

/**
 * How {@link open} opens a file. Without any of `read`, `write` and `append` it is opened for reading.
 * @experimental
 */
export interface OpenOptions extends CallOptions {
  /** For reading. Default: true unless `write` or `append` is. */
  readonly read?: boolean;
  /** For writing anywhere. Default false. */
  readonly write?: boolean;
  /** For writing at the end only, wherever that is by then. Not together with `write` or `truncate`. Default false. */
  readonly append?: boolean;
  /** Empties the file. Needs `write`. Default false. */
  readonly truncate?: boolean;
  /** Makes the file if there is none. Needs `write` or `append`. Default false. */
  readonly create?: boolean;
  /** Makes the file, and fails with `EEXIST` if there is one, be it a link that leads nowhere. Needs `write` or `append`. Default false. */
  readonly createNew?: boolean;
  /** Permission bits of a file that is made, less the process's umask. Needs `create` or `createNew`. Default 0o666. */
  readonly mode?: number;
  /** Fails with `ELOOP` if the name is that of a symbolic link. Default false. */
  readonly noFollow?: boolean;
  /** Fails with `ENOTDIR` for what is no directory. For reading only. Default false. */
  readonly directory?: boolean;
  /** Each write has reached the device when it resolves: `all`, or `data` without times that do not matter for reading. Default: neither. */
  readonly durable?: "all" | "data";
  /** Past the page cache (`O_DIRECT`): buffers, positions and lengths must suit the device. Default false. */
  readonly direct?: boolean;
}

const NAMES: readonly (keyof OpenOptions)[] = [
  "read",
  "write",
  "append",
  "truncate",
  "create",
  "createNew",
  "mode",
  "noFollow",
  "directory",
  "durable",
  "direct",
  "signal",
  "timeoutMs",
];

/** The flags of open(2) for `options`. Throws `ERR_RINGLOOM_INVALID_OPTION` for a combination that makes no sense. */
export function openFlags(options: OpenOptions): number {
  const problem = problemOf(options);
  if (problem !== undefined) {
    const { signal: _, ...details } = options;
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot open a file: ${problem}`, {
      operation: "open",
      details,
    });
  }
  return accessFlags(options) | creationFlags(options) | otherFlags(options);
}

/** Whether files opened so can be read. */
export function isReadable(options: OpenOptions): boolean {
  return options.read ?? !(options.write === true || options.append === true);
}

function problemOf(options: OpenOptions): string | undefined {
  const { write, append, truncate, create, createNew, mode, directory, durable } = options;
  const unknown = Object.keys(options).find((name) => !(NAMES as readonly string[]).includes(name));
  if (unknown !== undefined) return `there is no option ${unknown}`;
  const writes = write === true || append === true;
  if (!isReadable(options) && !writes) return "neither read, write nor append is true";
  if (append === true && write === true)
    return "append and write exclude each other: append only ever writes at the end";
  if (append === true && truncate === true) return "append and truncate exclude each other";
  if (truncate === true && write !== true) return "truncate needs write";
  if ((create === true || createNew === true) && !writes) return "create and createNew need write or append";
  if (create === true && createNew === true) return "create and createNew exclude each other";
  if (createNew === true && truncate === true) return "createNew and truncate exclude each other: a new file is empty";
  if (mode !== undefined && create !== true && createNew !== true) return "mode needs create or createNew";
  if (mode !== undefined && !(Number.isInteger(mode) && mode >= 0 && mode <= 0o7777))
    return `mode ${mode} is not between 0 and 0o7777`;
  if (directory === true && writes) return "a directory can only be read";
  if (durable !== undefined && durable !== "all" && durable !== "data") return "durable is neither all nor data";
  if (durable !== undefined && !writes) return "durable needs write or append";
  if (options.direct === true && constants.O_DIRECT === undefined) return "this system has no direct access";
  return undefined;
}

function accessFlags(options: OpenOptions): number {
  const writes = options.write === true || options.append === true;
  if (!writes) return constants.O_RDONLY;
  return isReadable(options) ? constants.O_RDWR : constants.O_WRONLY;
}

function creationFlags({ append, truncate, create, createNew }: OpenOptions): number {
  let flags = 0;
  if (append === true) flags |= constants.O_APPEND;
  if (truncate === true) flags |= constants.O_TRUNC;
  if (create === true || createNew === true) flags |= constants.O_CREAT;
  if (createNew === true) flags |= constants.O_EXCL;
  return flags;
}

/** What a system lacks is undefined among its constants, and left out; only for `direct` that would be another meaning. */
function otherFlags({ noFollow, directory, durable, direct }: OpenOptions): number {
  let flags = 0;
  if (noFollow === true) flags |= constants.O_NOFOLLOW ?? 0;
  if (directory === true) flags |= constants.O_DIRECTORY ?? 0;
  if (durable === "all") flags |= constants.O_SYNC ?? 0;
  if (durable === "data") flags |= constants.O_DSYNC ?? 0;
  if (direct === true) flags |= constants.O_DIRECT ?? 0;
  return flags;
}
