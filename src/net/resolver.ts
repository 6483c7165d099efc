/** From a host's name to its addresses. */
import { lookup } from "node:dns/promises";
import { RingloomError } from "../errors.js";

/**
 * Finds the IP addresses of a host, the preferred one first. It rejects, or gives none, when there is none.
 * @experimental
 */
export type Resolver = (
  host: string,
  options: { readonly signal?: AbortSignal | undefined },
) => Promise<readonly string[]>;

/** What the system says (`getaddrinfo`, on Node's pool of threads), in its order. */
export async function systemResolver(host: string): Promise<readonly string[]> {
  try {
    const found = await lookup(host, { all: true, verbatim: true });
    return found.map(({ address }) => address);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "ENOTFOUND";
    throw new RingloomError(code, `Cannot resolve ${JSON.stringify(host)}: ${code}`, {
      operation: "resolve",
      details: { host },
      cause,
    });
  }
}

/** The order in which to try them (RFC 8305, section 4): the families take turns, beginning with that of the first address. */
export function interleaveFamilies(addresses: readonly string[]): readonly string[] {
  const first: string[] = [];
  const second: string[] = [];
  const startsWithSix = addresses[0]?.includes(":") ?? false;
  for (const address of new Set(addresses)) (address.includes(":") === startsWithSix ? first : second).push(address);
  const ordered: string[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index++)
    ordered.push(...first.slice(index, index + 1), ...second.slice(index, index + 1));
  return ordered;
}
