/**
 * In which order to try the addresses of a host: sorted by RFC 6724 (section 6), then with the families taking turns (RFC 8305, section 4), so that a broken
 * IPv6 or IPv4 costs one attempt and not all of one kind.
 *
 * Of RFC 6724 these rules: 1 avoid what cannot be reached, 2 matching scope, 5 matching label, 6 precedence, 8 smaller scope, 9 longest prefix (IPv6), 10
 * as it came. Which source address the kernel would take is derived from the interfaces' addresses; routes are not asked.
 */
import { networkInterfaces } from "node:os";
import { type Address, addressBytes, addressOf } from "./address.js";

/**
 * What the order depends on.
 * @experimental
 */
export interface AddressOrderOptions {
  /** The addresses that connections can come from; those of this machine's interfaces unless given. */
  readonly sources?: readonly string[];
  /** How many of the first family come before the first of the other: 1. RFC 8305 calls it the First Address Family Count. */
  readonly firstFamilyCount?: number;
}

/**
 * Addresses in the order in which to try them. All of them: those that look unreachable come last.
 * @example
 * ```ts run
 * import { orderAddresses } from "ringloom/dns";
 * const addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map((address) => ({ address, family: address.includes(":") ? 6 : 4 }) as const);
 * const order = orderAddresses(addresses, { sources: ["192.0.2.9", "2001:db8::9"] });
 * console.log(order.map(({ address }) => address).join(" ")); // 2001:db8::1 192.0.2.1 192.0.2.2
 * ```
 * @experimental
 */
export function orderAddresses(addresses: readonly Address[], options: AddressOrderOptions = {}): Address[] {
  if (addresses.length < 2) return [...addresses];
  const sources = (options.sources ?? ownAddresses()).map(addressOf).filter((source) => source !== undefined);
  const known = sources.map(placeOf);
  const ranked = addresses.map((address) => ({ address, rank: rankOf(placeOf(address), known) }));
  // Stable, which is rule 10.
  ranked.sort((first, second) => compareRanks(first.rank, second.rank));
  return takeTurns(
    ranked.map(({ address }) => address),
    options.firstFamilyCount ?? 1,
  );
}

/** An address as RFC 6724 sees it. */
interface Place {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly scope: number;
  readonly label: number;
  readonly precedence: number;
  readonly isLoopback: boolean;
}

/** Smaller is better, the first difference decides. */
type Rank = readonly number[];

const LINK_LOCAL_SCOPE = 0x2;
const SITE_LOCAL_SCOPE = 0x5;
const GLOBAL_SCOPE = 0xe;

/** RFC 6724, section 2.1: the default policy table, the longest prefix first. */
const POLICIES = (
  [
    ["::1", 128, 50, 0],
    ["::ffff:0:0", 96, 35, 4],
    ["::", 96, 1, 3],
    ["2001::", 32, 5, 5],
    ["2002::", 16, 30, 2],
    ["3ffe::", 16, 1, 12],
    ["fec0::", 10, 1, 11],
    ["fc00::", 7, 3, 13],
    ["::", 0, 40, 1],
  ] as const
).map(([address, bits, precedence, label]) => ({
  prefix: addressBytes({ address, family: 6 }),
  bits,
  precedence,
  label,
}));

function placeOf(address: Address): Place {
  const bytes = addressBytes(address);
  const policy = POLICIES.find(({ prefix, bits }) => commonBits(prefix, bytes) >= bits);
  return {
    family: address.family,
    bytes,
    scope: scopeOf(bytes, address.family),
    label: policy?.label ?? 1,
    precedence: policy?.precedence ?? 40,
    isLoopback: address.family === 4 ? bytes[12] === 127 : policy?.precedence === 50,
  };
}

/** RFC 6724, sections 3.1 and 3.2. Private IPv4 addresses are global in this sense. */
function scopeOf(bytes: Uint8Array, family: 4 | 6): number {
  const [first = 0, second = 0] = family === 4 ? bytes.subarray(12) : bytes;
  if (family === 4) return first === 127 || (first === 169 && second === 254) ? LINK_LOCAL_SCOPE : GLOBAL_SCOPE;
  if (first === 0xff) return second & 0xf;
  if (first === 0xfe && (second & 0xc0) === 0x80) return LINK_LOCAL_SCOPE;
  if (first === 0xfe && (second & 0xc0) === 0xc0) return SITE_LOCAL_SCOPE;
  const isLoopback = bytes[15] === 1 && bytes.subarray(0, 15).every((byte) => byte === 0);
  return isLoopback ? LINK_LOCAL_SCOPE : GLOBAL_SCOPE;
}

function rankOf(target: Place, sources: readonly Place[]): Rank {
  const source = sourceFor(target, sources);
  if (source === undefined) return [1, 1, 1, -target.precedence, target.scope, 0];
  return [
    0,
    source.scope === target.scope ? 0 : 1,
    source.label === target.label ? 0 : 1,
    -target.precedence,
    target.scope,
    target.family === 6 ? -commonBits(source.bytes, target.bytes) : 0,
  ];
}

/** The address that a connection would come from; undefined when none of the machine's reaches so far. */
function sourceFor(target: Place, sources: readonly Place[]): Place | undefined {
  let best: Place | undefined;
  for (const source of sources) {
    if (source.family !== target.family || source.isLoopback !== target.isLoopback || source.scope < target.scope)
      continue;
    if (best === undefined || commonBits(source.bytes, target.bytes) > commonBits(best.bytes, target.bytes))
      best = source;
  }
  return best;
}

function compareRanks(first: Rank, second: Rank): number {
  const at = first.findIndex((value, index) => value !== second[index]);
  return at === -1 ? 0 : (first[at] ?? 0) - (second[at] ?? 0);
}

/** How many leading bits two addresses have in common. */
function commonBits(first: Uint8Array, second: Uint8Array): number {
  for (let index = 0; index < first.length; index++) {
    const difference = (first[index] ?? 0) ^ (second[index] ?? 0);
    if (difference !== 0) return index * 8 + Math.clz32(difference) - 24;
  }
  return 8 * first.length;
}

/** The family of the first address begins, then they alternate. */
function takeTurns(sorted: readonly Address[], firstFamilyCount: number): Address[] {
  const family = sorted[0]?.family;
  const first = sorted.filter((address) => address.family === family);
  const second = sorted.filter((address) => address.family !== family);
  const order = first.splice(0, Math.max(1, firstFamilyCount));
  while (first.length > 0 || second.length > 0) order.push(...second.splice(0, 1), ...first.splice(0, 1));
  return order;
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []);
}
