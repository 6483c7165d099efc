/** Answers until their time is over, also those that say that there is nothing. Bounded: the one that was used longest ago makes room. */

/** What a name server said: records, or the code of its refusal. */
export type Answer<Record> = { readonly records: readonly Record[] } | { readonly code: string };

interface Entry<Record> {
  readonly answer: Answer<Record>;
  readonly endsAtMs: number;
}

/** By key, with the times of one clock. */
export class AnswerCache<Record> {
  readonly #entriesMax: number;
  readonly #nowMs: () => number;
  /** In the order of their last use: a Map keeps the order in which keys came. */
  readonly #entries = new Map<string, Entry<Record>>();

  constructor(entriesMax: number, nowMs: () => number) {
    this.#entriesMax = entriesMax;
    this.#nowMs = nowMs;
  }

  /** How many are kept, those that are over and not looked at since included. */
  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Answer<Record> | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (this.#nowMs() >= entry.endsAtMs) return undefined;
    this.#entries.set(key, entry);
    return entry.answer;
  }

  /** Keeps an answer for `ttlMs` milliseconds; 0 does not keep it. */
  set(key: string, answer: Answer<Record>, ttlMs: number): void {
    this.#entries.delete(key);
    if (ttlMs <= 0 || this.#entriesMax === 0) return;
    if (this.#entries.size >= this.#entriesMax) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    this.#entries.set(key, { answer, endsAtMs: this.#nowMs() + ttlMs });
  }

  clear(): void {
    this.#entries.clear();
  }
}
