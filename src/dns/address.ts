/** IP addresses as text and as bytes. */
import { isIP } from "node:net";

/**
 * An IP address.
 * @experimental
 */
export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Text as an address; undefined when it is none. An IPv6 address may stand in brackets, as in a URL, and have a zone. */
export function addressOf(text: string): Address | undefined {
  const address = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  const family = isIP(address);
  return family === 4 || family === 6 ? { address, family } : undefined;
}

/** The 16 bytes of an address; an IPv4 one is mapped (`::ffff:a.b.c.d`), as RFC 6724 has it. */
export function addressBytes({ address, family }: Address): Uint8Array {
  const bytes = new Uint8Array(16);
  if (family === 4) {
    bytes.set([0xff, 0xff, ...ipv4Bytes(address)], 10);
    return bytes;
  }
  const [text = ""] = address.split("%", 1);
  const [head = "", tail] = text.split("::");
  const before = groups(head);
  const after = groups(tail ?? "");
  bytes.set(before, 0);
  bytes.set(after, 16 - after.length);
  return bytes;
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return ipv4Bytes(group);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function ipv4Bytes(text: string): number[] {
  return text.split(".").map(Number);
}
