/**
 * File calls through libuv's pool of threads, with the results that a ring would give: a count, a descriptor or 0, or a negative error number.
 * For drivers without a ring, and for what the kernel's ring does not know.
 */
import * as fs from "node:fs";
import { constants } from "node:os";
import { CURRENT_POSITION, type FilePath, type OperationDone, type PathRequest, type StatDone } from "./contract.js";
import { statFromNode } from "./file-stat.js";

const EIO = constants.errno.EIO ?? 5;
const ENOENT = constants.errno.ENOENT ?? 2;
/** What Node transfers in one call at most; the result tells how much it was. */
const NODE_BYTES_MAX = 0x7fff_ffff;
/** How much is written at a time where room is reserved by writing zeros. */
const ZEROS_BYTES = 256 * 1024;

type NodeError = NodeJS.ErrnoException | null;

/** read(2) or pread(2). */
export function poolRead(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): void {
  fs.read(descriptor, buffer, 0, Math.min(buffer.byteLength, NODE_BYTES_MAX), nodePosition(position), (error, count) =>
    done(error === null ? count : resultOf(error)),
  );
}

/** write(2) or pwrite(2). */
export function poolWrite(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): void {
  fs.write(descriptor, buffer, 0, Math.min(buffer.byteLength, NODE_BYTES_MAX), nodePosition(position), (error, count) =>
    done(error === null ? count : resultOf(error)),
  );
}

/** readv(2) or preadv(2). */
export function poolReadVector(
  descriptor: number,
  buffers: readonly Uint8Array[],
  position: number,
  done: OperationDone,
): void {
  // Node takes -1 for a position that is not given, but null only in its types of later versions.
  const callback = (error: NodeError, count: number): void => done(error === null ? count : resultOf(error));
  if (position === CURRENT_POSITION) fs.readv(descriptor, buffers, callback);
  else fs.readv(descriptor, buffers, position, callback);
}

/** writev(2) or pwritev(2). */
export function poolWriteVector(
  descriptor: number,
  buffers: readonly Uint8Array[],
  position: number,
  done: OperationDone,
): void {
  const callback = (error: NodeError, count: number): void => done(error === null ? count : resultOf(error));
  if (position === CURRENT_POSITION) fs.writev(descriptor, buffers, callback);
  else fs.writev(descriptor, buffers, position, callback);
}

/** fsync(2), or fdatasync(2) with `dataOnly`. */
export function poolSync(descriptor: number, dataOnly: boolean, done: OperationDone): void {
  const synchronize = dataOnly ? fs.fdatasync : fs.fsync;
  synchronize(descriptor, plain(done));
}

/** ftruncate(2). */
export function poolTruncate(descriptor: number, length: number, done: OperationDone): void {
  fs.ftruncate(descriptor, length, plain(done));
}

/** close(2). */
export function poolClose(descriptor: number, done: OperationDone): void {
  fs.close(descriptor, plain(done));
}

/** The call that a request names. */
export function poolPath(request: PathRequest, done: OperationDone): void {
  const path = nodePath(request.path);
  switch (request.call) {
    case "open":
      fs.open(path, request.flags ?? 0, request.mode ?? 0o666, (error, descriptor) =>
        done(error === null ? descriptor : resultOf(error)),
      );
      return;
    case "mkdir":
      fs.mkdir(path, request.mode ?? 0o777, plain(done));
      return;
    case "rmdir":
      fs.rmdir(path, plain(done));
      return;
    case "unlink":
      fs.unlink(path, plain(done));
      return;
    case "rename":
      fs.rename(path, nodePath(request.to ?? ""), plain(done));
      return;
    case "link":
      fs.link(path, nodePath(request.to ?? ""), plain(done));
      return;
    case "symlink":
      fs.symlink(path, nodePath(request.to ?? ""), plain(done));
      return;
  }
}

/** stat(2), lstat(2) or fstat(2). */
export function poolStat(target: FilePath | number, followLinks: boolean, done: StatDone): void {
  const callback = (error: NodeError, stats: fs.BigIntStats | undefined): void => {
    if (error !== null) done(resultOf(error), undefined);
    else done(stats === undefined ? -ENOENT : 0, stats === undefined ? undefined : statFromNode(stats));
  };
  if (typeof target === "number") fs.fstat(target, { bigint: true }, callback);
  else if (followLinks) fs.stat(nodePath(target), { bigint: true }, callback);
  else fs.lstat(nodePath(target), { bigint: true }, callback);
}

/** Node has no call that reserves room, so zeros are written where the file has nothing yet. */
export function poolAllocate(descriptor: number, position: number, length: number, done: OperationDone): void {
  fs.fstat(descriptor, { bigint: true }, (error, stats) => {
    if (error !== null) return done(resultOf(error));
    const start = Math.max(position, Number(stats.size));
    writeZeros(descriptor, start, position + length, done);
  });
}

function writeZeros(descriptor: number, start: number, end: number, done: OperationDone): void {
  if (start >= end) return done(0);
  const zeros = new Uint8Array(Math.min(ZEROS_BYTES, end - start));
  const next = (at: number): void => {
    if (at >= end) return done(0);
    fs.write(descriptor, zeros, 0, Math.min(zeros.length, end - at), at, (error, count) => {
      if (error === null) next(at + count);
      else done(resultOf(error));
    });
  };
  next(start);
}

function plain(done: OperationDone): (error: NodeError) => void {
  return (error) => done(error === null ? 0 : resultOf(error));
}

function nodePosition(position: number): number | null {
  return position === CURRENT_POSITION ? null : position;
}

/** Node takes the bytes of a name as a Buffer only. */
function nodePath(path: FilePath): string | Buffer {
  if (typeof path === "string") return path;
  return Buffer.from(path.buffer, path.byteOffset, path.byteLength);
}

/** The negative error number of a failed call. */
function resultOf(error: NodeJS.ErrnoException): number {
  return error.errno ?? -EIO;
}
