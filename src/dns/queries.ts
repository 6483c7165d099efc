/**
 * Questions to name servers: each is asked once at a time, however many want to know, and its answer is kept for its time to live.
 *
 * Asked through c-ares, as `node:dns` has it: on sockets of the event loop, with no thread of the pool.
 */
import { promises } from "node:dns";
import { type Answer, AnswerCache } from "./answer-cache.js";
import { closed, codeOf, lookupFailed, overloaded, saysNothing } from "./dns-error.js";

/** What can be asked for. */
export type RecordType = "A" | "AAAA" | "SRV" | "system4" | "system6" | "system0";

/** A record: an address, or a service at a host and port. */
export type DnsRecord =
  | { readonly kind: "address"; readonly address: string; readonly family: 4 | 6; readonly ttlMs: number }
  | {
      readonly kind: "service";
      readonly host: string;
      readonly port: number;
      readonly priority: number;
      readonly weight: number;
      readonly ttlMs: number;
    };

/** What questions are asked with. */
export interface QuerySettings {
  /** Undefined: the system's. */
  readonly servers: readonly string[] | undefined;
  readonly attemptTimeoutMs: number;
  readonly attempts: number;
  readonly queriesMax: number;
  readonly cacheEntriesMax: number;
  readonly ttlMsMin: number;
  readonly ttlMsMax: number;
  readonly negativeTtlMs: number;
  /** For answers that come without one: of services, and of the system. */
  readonly unknownTtlMs: number;
  readonly nowMs: () => number;
}

/** How often questions were answered, and from where. */
export interface QueryCounts {
  /** Asked of a name server. */
  asked: number;
  /** Answered from memory. */
  cached: number;
  /** The same, and the answer was that there is nothing. */
  cachedNegative: number;
  /** Joined a question that somebody else had asked. */
  joined: number;
}

/** Questions of one resolver. */
export class Queries {
  readonly counts: QueryCounts = { asked: 0, cached: 0, cachedNegative: 0, joined: 0 };
  readonly #settings: QuerySettings;
  readonly #servers: promises.Resolver;
  readonly #cache: AnswerCache<DnsRecord>;
  readonly #open = new Map<string, Promise<readonly DnsRecord[]>>();
  /** Counts `clear`: an answer to an older question is not kept. */
  #age = 0;
  /** Questions that wait for an answer, also those that `clear` has forgotten. */
  #running = 0;
  #isClosed = false;

  /** @throws TypeError, as Node does, for servers that are no addresses. */
  constructor(settings: QuerySettings) {
    this.#settings = settings;
    this.#servers = new promises.Resolver({ timeout: settings.attemptTimeoutMs, tries: settings.attempts });
    if (settings.servers !== undefined) this.#servers.setServers(settings.servers);
    this.#cache = new AnswerCache(settings.cacheEntriesMax, settings.nowMs);
  }

  get openCount(): number {
    return this.#running;
  }

  get cachedCount(): number {
    return this.#cache.size;
  }

  /** @throws RingloomError with the server's code, `ERR_RINGLOOM_OVERLOADED`, `ERR_RINGLOOM_CLOSED`. */
  async ask(type: RecordType, name: string): Promise<readonly DnsRecord[]> {
    if (this.#isClosed) throw closed(name);
    const key = `${type} ${name}`;
    const known = this.#cache.get(key);
    if (known !== undefined) return this.#fromCache(name, known);
    const open = this.#open.get(key);
    if (open !== undefined) {
      this.counts.joined++;
      return open;
    }
    if (this.#running >= this.#settings.queriesMax) throw overloaded(name, this.#settings.queriesMax);
    this.counts.asked++;
    const asking = this.#askServer(type, name, key);
    this.#open.set(key, asking);
    return asking;
  }

  /** Forgets all answers. */
  clear(): void {
    this.#age++;
    this.#cache.clear();
    this.#open.clear();
  }

  /** Gives up what is open, and answers no more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.clear();
    this.#servers.cancel();
  }

  #fromCache(name: string, answer: Answer<DnsRecord>): readonly DnsRecord[] {
    this.counts.cached++;
    if ("records" in answer) return answer.records;
    this.counts.cachedNegative++;
    throw lookupFailed(name, answer.code);
  }

  async #askServer(type: RecordType, name: string, key: string): Promise<readonly DnsRecord[]> {
    const age = this.#age;
    this.#running++;
    try {
      const records = await this.#records(type, name);
      if (age === this.#age) this.#cache.set(key, { records }, this.#ttlMs(records));
      return records;
    } catch (error) {
      if (this.#isClosed) throw closed(name);
      const code = codeOf(error);
      // Who could not be asked may be there the next moment; what is not there is rarely asked for again at once, but then often.
      if (saysNothing(code) && age === this.#age) this.#cache.set(key, { code }, this.#settings.negativeTtlMs);
      throw lookupFailed(name, code, error);
    } finally {
      this.#running--;
      if (age === this.#age) this.#open.delete(key);
    }
  }

  async #records(type: RecordType, name: string): Promise<DnsRecord[]> {
    const { unknownTtlMs } = this.#settings;
    if (type === "A" || type === "AAAA") {
      const servers = this.#servers;
      const found = await (type === "A"
        ? servers.resolve4(name, { ttl: true })
        : servers.resolve6(name, { ttl: true }));
      const family = type === "A" ? 4 : 6;
      return found.map(({ address, ttl }) => ({ kind: "address", address, family, ttlMs: 1_000 * ttl }));
    }
    if (type === "SRV") {
      const found = await this.#servers.resolveSrv(name);
      return found.map(({ name: host, port, priority, weight }) => ({
        ...{ kind: "service" as const, host, port, priority, weight, ttlMs: unknownTtlMs },
      }));
    }
    const family = type === "system4" ? 4 : type === "system6" ? 6 : 0;
    const found = await promises.lookup(name, { all: true, family, verbatim: true });
    return found.map((one) => ({
      kind: "address",
      address: one.address,
      family: one.family === 6 ? 6 : 4,
      ttlMs: unknownTtlMs,
    }));
  }

  /** An answer is as old as its shortest record. */
  #ttlMs(records: readonly DnsRecord[]): number {
    const { ttlMsMin, ttlMsMax } = this.#settings;
    const shortest = records.reduce((ttlMs, record) => Math.min(ttlMs, record.ttlMs), ttlMsMax);
    return Math.max(ttlMsMin, shortest);
  }
}
