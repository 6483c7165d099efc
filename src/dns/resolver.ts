/**
 * Names to addresses: the hosts file, then name servers by c-ares, with a cache that knows how long answers are good for.
 *
 * Node's own `dns.lookup`, which everything in Node uses by default, calls getaddrinfo on one of libuv's four threads and keeps nothing: four slow names and
 * every file operation of the process waits too. It is asked here only where c-ares cannot know the answer.
 */

import { Wait } from "../io/wait.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { type Address, addressOf } from "./address.js";
import { type AddressOrderOptions, orderAddresses } from "./address-order.js";
import { codeOf, lookupFailed, saysNothing } from "./dns-error.js";
import { type DnsRecord, Queries, type RecordType } from "./queries.js";
import { type ResolverOptions, type ResolverSettings, resolverSettings } from "./resolver-settings.js";
import { orderServices, type Service } from "./service-order.js";
import {
  candidates,
  hostsPath,
  parseHosts,
  parseSearchList,
  RESOLV_CONF_PATH,
  type SearchList,
} from "./system-files.js";
import { TextFile } from "./text-file.js";

/**
 * How {@link Resolver.lookup} works.
 * @experimental
 */
export interface LookupOptions extends WaitOptions, AddressOrderOptions {
  /** Only addresses of one family. */
  readonly family?: 4 | 6 | undefined;
}

/**
 * What a {@link Resolver} has done.
 * @experimental
 */
export interface ResolverStats {
  /** Questions to a name server or the system. */
  readonly asked: number;
  /** Answers from the cache, and how many of them were that there is nothing. */
  readonly cached: number;
  readonly cachedNegative: number;
  /** Questions that joined one that was open already. */
  readonly joined: number;
  /** Questions that wait for an answer now. */
  readonly open: number;
  /** Answers that are kept now. */
  readonly entries: number;
}

/** How long the family that is slower may take once the other one has an answer, in milliseconds: RFC 8305, section 3, the Resolution Delay. */
const SLOWER_FAMILY_MS_MAX = 50;

/**
 * Resolves names, and remembers. One for a thread is enough: {@link lookup} uses such a one.
 * @example
 * ```ts run
 * import { Resolver } from "ringloom/dns";
 * const resolver = new Resolver({ negativeTtlMs: 1_000 });
 * console.log((await resolver.lookup("127.0.0.1"))[0]); // { address: '127.0.0.1', family: 4 }
 * resolver.close();
 * ```
 * @experimental
 */
export class Resolver {
  readonly #settings: ResolverSettings;
  readonly #queries: Queries;
  readonly #hosts: TextFile<Map<string, Address[]>>;
  readonly #searchList: TextFile<SearchList>;

  /** @throws RangeError, TypeError for options that are none. */
  constructor(options: ResolverOptions = {}) {
    this.#settings = resolverSettings(options);
    this.#queries = new Queries(this.#settings);
    const { nowMs } = this.#settings;
    const path = options.hostsFile === false ? undefined : (options.hostsFile ?? hostsPath());
    this.#hosts = new TextFile(path, parseHosts, nowMs);
    const hasServers = options.servers !== undefined;
    this.#searchList = new TextFile(hasServers ? undefined : RESOLV_CONF_PATH, parseSearchList, nowMs);
  }

  /** What it has done so far. */
  get stats(): ResolverStats {
    const { asked, cached, cachedNegative, joined } = this.#queries.counts;
    return { asked, cached, cachedNegative, joined, open: this.#queries.openCount, entries: this.#queries.cachedCount };
  }

  /**
   * The addresses of a host, at least one, in the order in which to try them ({@link orderAddresses}). An IP address is its own answer.
   *
   * Giving it up ends the wait. The question goes on for others, and for the cache, and ends by its own time.
   * @throws RingloomError `ENOTFOUND`, `ENODATA` (no address of that family), `EBADNAME`, `ETIMEOUT`, `ESERVFAIL`, `EREFUSED`, `ECONNREFUSED` and other codes of
   * Node's; `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_OVERLOADED`, `ERR_RINGLOOM_CLOSED`.
   */
  async lookup(host: string, options: LookupOptions = {}): Promise<Address[]> {
    const wait = new Wait(`look up ${host}`, options);
    wait.check();
    const literal = addressOf(host);
    if (literal !== undefined) return this.#matching(host, [literal], options);
    const name = checkedName(host);
    const found = await wait.for(this.#find(name, options.family));
    return this.#matching(host, found, options);
  }

  /** The IPv4 addresses of a name as its servers gave them, past hosts file and search list. Throws as {@link lookup}. */
  async resolve4(name: string, options?: WaitOptions): Promise<string[]> {
    return this.#addresses("A", name, options);
  }

  /** The same for IPv6. */
  async resolve6(name: string, options?: WaitOptions): Promise<string[]> {
    return this.#addresses("AAAA", name, options);
  }

  /**
   * The hosts of a service (SRV records), in the order in which to try them: by priority, then drawn by weight anew each time.
   * @param name as in `_postgresql._tcp.example.com`
   * @throws as {@link lookup}; `ENOTFOUND` also when the domain says that it has no such service.
   */
  async resolveService(name: string, options?: WaitOptions): Promise<Service[]> {
    const records = await this.#resolve("SRV", name, options);
    const services = records
      .filter((record) => record.kind === "service")
      .map(({ host, port, priority, weight }) => ({ host, port, priority, weight }));
    // RFC 2782: one record with the target "." says that the service is not there.
    const there = services.filter(({ host }) => host !== "" && host !== ".");
    if (there.length === 0) throw lookupFailed(name, "ENOTFOUND");
    return orderServices(there, this.#settings.random);
  }

  /**
   * The same as a function for the option `resolver` of `ringloom/net`: the addresses of a host as text.
   * @example
   * ```ts
   * import { Resolver } from "ringloom/dns";
   * import { connect } from "ringloom/net";
   * const names = new Resolver();
   * const stream = await connect({ host: "db.internal", port: 5432 }, { resolver: names.forConnect() });
   * stream.close();
   * ```
   */
  forConnect(): (host: string, options?: WaitOptions) => Promise<string[]> {
    return async (host, options) => (await this.lookup(host, options)).map(({ address }) => address);
  }

  /** Forgets all answers. */
  clear(): void {
    this.#queries.clear();
  }

  /** Gives up what is open: it rejects with `ERR_RINGLOOM_CLOSED`, and so does every later question. */
  close(): void {
    this.#queries.close();
  }

  async #addresses(type: "A" | "AAAA", name: string, options: WaitOptions | undefined): Promise<string[]> {
    const records = await this.#resolve(type, name, options);
    return records.filter((record) => record.kind === "address").map(({ address }) => address);
  }

  async #resolve(type: RecordType, name: string, options: WaitOptions | undefined): Promise<readonly DnsRecord[]> {
    const wait = new Wait(`look up ${name}`, options);
    wait.check();
    return wait.for(this.#queries.ask(type, checkedName(name).replace(/\.$/, "")));
  }

  #matching(host: string, found: readonly Address[], options: LookupOptions): Address[] {
    const { family } = options;
    const matching = family === undefined ? found : found.filter((address) => address.family === family);
    if (matching.length === 0) throw lookupFailed(host, "ENODATA");
    return orderAddresses(matching, options);
  }

  async #find(name: string, family: 4 | 6 | undefined): Promise<readonly Address[]> {
    const plain = name.replace(/\.$/, "");
    const known = (await this.#hosts.read()).get(plain) ?? localhost(plain);
    if (known !== undefined) return known;
    const { method } = this.#settings;
    if (method === "system" || (method === "auto" && plain.endsWith(".local"))) return this.#askSystem(plain, family);
    let failure: unknown;
    for (const candidate of candidates(name, await this.#searchDomains())) {
      try {
        return await this.#askServers(candidate, family);
      } catch (error) {
        if (method === "auto" && codeOf(error) === "ECONNREFUSED") return this.#askSystem(plain, family);
        if (!saysNothing(codeOf(error))) throw error;
        // A name that exists and has no such address says more than one that does not.
        if (failure === undefined || codeOf(error) === "ENODATA") failure = error;
      }
    }
    throw lookupFailed(plain, codeOf(failure), failure);
  }

  async #searchDomains(): Promise<SearchList> {
    const found = await this.#searchList.read();
    const { searchDomains, ndots } = this.#settings;
    return { domains: searchDomains ?? found.domains, ndots: ndots ?? found.ndots };
  }

  async #askSystem(name: string, family: 4 | 6 | undefined): Promise<Address[]> {
    return addressesOf(await this.#queries.ask(`system${family ?? 0}`, name));
  }

  async #askServers(name: string, family: 4 | 6 | undefined): Promise<Address[]> {
    if (family !== undefined) return addressesOf(await this.#queries.ask(family === 4 ? "A" : "AAAA", name));
    const [v6, v4] = await Promise.all(
      withinDelay([outcome(this.#queries.ask("AAAA", name)), outcome(this.#queries.ask("A", name))]),
    );
    const records = [...("records" in v6 ? v6.records : []), ...("records" in v4 ? v4.records : [])];
    if (records.length > 0) return addressesOf(records);
    const errors = [v4, v6].map((one) => ("error" in one ? one.error : undefined));
    // That one family has nothing does not say that the other one has nothing.
    const unknown = errors.find((error) => error !== undefined && !saysNothing(codeOf(error)));
    throw unknown ?? errors[0] ?? lookupFailed(name, "ENODATA");
  }
}

let ofThread: Resolver | undefined;

/**
 * The addresses of a host, by the resolver that this thread shares; see {@link Resolver.lookup}.
 * @example
 * ```ts run
 * import { lookup } from "ringloom/dns";
 * for (const { address, family } of await lookup("localhost", { timeoutMs: 1_000 })) console.log(address, family);
 * ```
 * @experimental
 */
export function lookup(host: string, options?: LookupOptions): Promise<Address[]> {
  ofThread ??= new Resolver();
  return ofThread.lookup(host, options);
}

type Outcome = { readonly records: readonly DnsRecord[] } | { readonly error: unknown };

function outcome(asking: Promise<readonly DnsRecord[]>): Promise<Outcome> {
  return asking.then(
    (records) => ({ records }),
    (error: unknown) => ({ error }),
  );
}

/** Two questions, of which the second answer may be late when the first one is there. What comes later is in the cache for the next time. */
function withinDelay([first, second]: [Promise<Outcome>, Promise<Outcome>]): [Promise<Outcome>, Promise<Outcome>] {
  return [orLate(first, second), orLate(second, first)];
}

async function orLate(own: Promise<Outcome>, other: Promise<Outcome>): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined;
  let isSettled = false;
  const late = other.then((answer) => {
    if (isSettled || !("records" in answer) || answer.records.length === 0) return own;
    return new Promise<Outcome>((resolve) => {
      timer = setTimeout(() => resolve({ records: [] }), SLOWER_FAMILY_MS_MAX);
    });
  });
  try {
    return await Promise.race([own, late]);
  } finally {
    isSettled = true;
    clearTimeout(timer);
  }
}

function addressesOf(records: readonly DnsRecord[]): Address[] {
  return records.filter((record) => record.kind === "address").map(({ address, family }) => ({ address, family }));
}

/** RFC 6761, section 6.3: `localhost` and what lies under it never leaves the machine. */
function localhost(name: string): Address[] | undefined {
  if (name !== "localhost" && !name.endsWith(".localhost")) return undefined;
  return [
    { address: "127.0.0.1", family: 4 },
    { address: "::1", family: 6 },
  ];
}

/** A name in lower case; a dot at its end says that it is complete. RFC 1035 section 2.3.4 has the lengths. */
function checkedName(host: string): string {
  if (typeof host !== "string") throw new TypeError(`Cannot look up: ${typeof host} is no name`);
  const name = host.toLowerCase();
  const labels = name.replace(/\.$/, "").split(".");
  const isName = name.length <= 254 && labels.every((label) => label.length > 0 && label.length <= 63);
  if (!isName || /[\s\0/\\]/.test(name)) throw lookupFailed(JSON.stringify(host), "EBADNAME");
  return name;
}
