/** Structured clones as bytes, by `node:v8`, for values that the task codec does not carry and that need no port. */
import { DefaultSerializer, deserialize } from "node:v8";
import { notCloneable } from "../errors.js";

/** The answer of {@link cloneToBytes} for a value with shared memory in it: only a port carries that by reference. */
export const CLONE_SHARED = undefined;

/** The bytes of a clone for `operation`, or {@link CLONE_SHARED}. Throws `ERR_RINGLOOM_NOT_CLONEABLE`, or what a getter of the value throws. */
export function cloneToBytes(value: unknown, operation: string): Uint8Array | typeof CLONE_SHARED {
  const serializer = new CloneSerializer();
  serializer.writeHeader();
  try {
    serializer.writeValue(value);
  } catch (error) {
    if (error instanceof SharedMemoryFound) return CLONE_SHARED;
    throw error instanceof NotCloneable ? notCloneable(operation, error.message) : error;
  }
  return serializer.releaseBuffer();
}

/** The value of such bytes. */
export function cloneFromBytes(bytes: Uint8Array): unknown {
  return deserialize(bytes);
}

class SharedMemoryFound extends Error {}

class NotCloneable extends Error {}

/** The calls that V8 makes of its serializer, which the typings leave out. */
const writeHostObject = Reflect.get(DefaultSerializer.prototype, "_writeHostObject") as (view: object) => unknown;

/** Node's own serializer refuses a SharedArrayBuffer, and copies a view of one as if its memory were not shared. */
class CloneSerializer extends DefaultSerializer {
  _getDataCloneError(message: string): Error {
    return new NotCloneable(message);
  }

  _getSharedArrayBufferId(): number {
    throw new SharedMemoryFound();
  }

  _writeHostObject(object: object): unknown {
    if (ArrayBuffer.isView(object) && object.buffer instanceof SharedArrayBuffer) throw new SharedMemoryFound();
    return Reflect.apply(writeHostObject, this, [object]);
  }
}
