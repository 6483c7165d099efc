/** The argument checks that every driver makes, before any state changes. */
import { isIP } from "node:net";
import { OPERATIONS_MAX, VECTOR_BUFFERS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { CURRENT_POSITION, type FilePath, type ListenAddress, type ListenPath, type PathRequest } from "./contract.js";

/** The longest timeout, in milliseconds: what Node's own timers take. */
export const TIMEOUT_MS_MAX = 0x7fff_ffff;

/** The longest path of a Unix socket, in bytes: the kernel has 108 for it and its end. */
const PATH_BYTES_MAX = 107;

/** Throws a RangeError for what is neither a descriptor nor an address with a port from 0 to 65535, a TypeError for what cannot be the path of a Unix socket. */
export function checkListenTarget(target: number | ListenAddress | ListenPath): void {
  if (typeof target === "number") checkDescriptor("listen", target);
  else if ("path" in target) checkSocketPath("listen", target.path);
  else if (!Number.isInteger(target.port) || target.port < 0 || target.port > 65535)
    throw new RangeError(`Cannot listen: port ${target.port} is not between 0 and 65535`);
}

/** Throws a TypeError for a host that is no IP address, a RangeError for a port outside 1..65535. */
export function checkConnectTarget(host: string, port: number): void {
  if (isIP(host) === 0 || host.includes("%"))
    throw new TypeError(`Cannot connect: ${JSON.stringify(host)} is not an IP address`);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new RangeError(`Cannot connect: port ${port} is not between 1 and 65535`);
}

/** Throws a TypeError for what cannot be the path of a Unix socket; a first character of code 0 makes it an abstract name. */
export function checkSocketPath(operation: string, path: string): void {
  const bytes = typeof path === "string" ? Buffer.byteLength(path) : 0;
  if (bytes === 0 || path === "\0")
    throw new TypeError(`Cannot ${operation}: the path of a Unix socket is a string that is not empty`);
  if (bytes > PATH_BYTES_MAX)
    throw new TypeError(
      `Cannot ${operation}: the path of a Unix socket has at most ${PATH_BYTES_MAX} bytes, this one ${bytes}`,
    );
  if (path.includes("\0", 1)) throw new TypeError(`Cannot ${operation}: there is a character of code 0 in the path`);
}

/** Throws a RangeError for a number that cannot be a file descriptor. */
export function checkDescriptor(operation: string, descriptor: number): void {
  if (!Number.isInteger(descriptor) || descriptor < 0 || descriptor > 0x7fff_ffff)
    throw new RangeError(`Cannot ${operation}: ${descriptor} is not a file descriptor`);
}

/** Throws a RangeError for a number that cannot be a position in a file, in bytes. */
export function checkPosition(operation: string, position: number): void {
  if (!Number.isSafeInteger(position) || position < 0)
    throw new RangeError(`Cannot ${operation}: ${position} is not a position in a file`);
}

/** Throws a RangeError for what cannot be a descriptor, or a position in a file or the file's own. */
export function checkTransfer(operation: string, descriptor: number, position: number): void {
  checkDescriptor(operation, descriptor);
  if (position !== CURRENT_POSITION) checkPosition(operation, position);
}

/** Throws a RangeError for a number that cannot be a length in bytes. */
export function checkLength(operation: string, length: number): void {
  if (!Number.isSafeInteger(length) || length < 0)
    throw new RangeError(`Cannot ${operation}: ${length} is not a number of bytes`);
}

/** Throws a TypeError for what is no buffer. */
export function checkBuffer(operation: string, buffer: Uint8Array): void {
  if (!(buffer instanceof Uint8Array)) throw new TypeError(`Cannot ${operation}: the buffer is not a Uint8Array`);
}

/** Throws a TypeError for what is no list of buffers, a RangeError for too many. */
export function checkBuffers(operation: string, buffers: readonly Uint8Array[]): void {
  if (!Array.isArray(buffers)) throw new TypeError(`Cannot ${operation}: the buffers are not an array`);
  if (buffers.length === 0 || buffers.length > VECTOR_BUFFERS_MAX)
    throw new RangeError(`Cannot ${operation}: there are ${buffers.length} buffers, not 1 to ${VECTOR_BUFFERS_MAX}`);
  for (const buffer of buffers) checkBuffer(operation, buffer);
}

/** Throws a TypeError for a request whose names cannot be names. */
export function checkPathRequest(request: PathRequest): void {
  checkPath(request.call, request.path);
  const hasTwo = request.call === "rename" || request.call === "link" || request.call === "symlink";
  if (hasTwo) checkPath(request.call, request.to);
}

/** Throws a TypeError for what is neither a name nor a descriptor. */
export function checkStatTarget(target: FilePath | number): void {
  if (typeof target === "number") checkDescriptor("stat", target);
  else checkPath("stat", target);
}

/** The kernel takes a name up to its first zero byte, so one inside would name another file. */
function checkPath(operation: string, path: FilePath | undefined): void {
  const isName = typeof path === "string" ? !path.includes("\0") : path instanceof Uint8Array && !path.includes(0);
  if (!isName) throw new TypeError(`Cannot ${operation}: the path is not text or bytes without a zero byte`);
}

/** Throws a RangeError for a number of milliseconds that no timer can wait. */
export function checkTimeout(ms: number): void {
  if (!(ms >= 0 && ms <= TIMEOUT_MS_MAX))
    throw new RangeError(`Cannot start a timeout: ${ms} ms is not between 0 and ${TIMEOUT_MS_MAX}`);
}

/** The error of an operation for which there is no slot. */
export function operationsTaken(operation: string): RingloomError {
  const message = `Cannot start ${operation}: ${OPERATIONS_MAX} operations are pending`;
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", message, {
    operation,
    details: { operationsMax: OPERATIONS_MAX },
  });
}

/** The error of a call to a driver that is shut down. */
export function closedError(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the driver is shut down`, { operation });
}
