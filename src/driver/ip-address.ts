import type { NativeAddress } from "../native.js";

/** What the addon answered for the address of a socket, if that is an IP address and a port. */
export function ipAddress(name: NativeAddress | number): NativeAddress | undefined {
  return typeof name === "number" || name.path !== undefined ? undefined : name;
}
