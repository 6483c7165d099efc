/** Sockets of node:net out of descriptors. */
import { Socket } from "node:net";
import { errnoError, RingloomError } from "../errors.js";

/** A socket over a connected descriptor, which is the socket's from then on. Throws the kernel's code, or `EINVAL` for what is no stream socket. */
export function adoptedSocket(descriptor: number): Socket {
  try {
    const socket = new Socket({ fd: descriptor, allowHalfOpen: true, readable: true, writable: true });
    return socket.setNoDelay(true);
  } catch (cause) {
    throw adoptError(descriptor, cause);
  }
}

function adoptError(descriptor: number, cause: unknown): RingloomError {
  const errno = (cause as NodeJS.ErrnoException).errno;
  if (errno !== undefined) return errnoError("adopt", Math.abs(errno), { descriptor });
  const details = { descriptor };
  return new RingloomError("EINVAL", `Cannot adopt: descriptor ${descriptor} is not a stream socket`, {
    operation: "adopt",
    details,
    cause,
  });
}
