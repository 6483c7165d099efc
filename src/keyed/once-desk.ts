/**
 * The supervisor's side of `once()`: which keys are being made, by whom, who waits, and the values. It is the one place that outlives every shard, so that no thread has to be
 * asked that may be gone. It runs no code of the user's.
 *
 *     nobody → made by a shard → done          made by a shard → failed → nobody          made by a shard → that shard is gone → made by the next one that waits
 */
import type { MessagePort } from "node:worker_threads";
import { Boundary } from "../runtime/boundary.js";
import type { BoundaryContext } from "../runtime/boundary-server.js";
import type { OnceAnswer, OnceAsk } from "./once-messages.js";

/** Keys that may have a value or be made. */
export const ONCE_KEYS_MAX = 10_000;

/** One line to a shard's thread. */
type Line = Boundary<OnceAsk, OnceAnswer>;

interface Waiter {
  readonly line: Line;
  readonly answer: (answer: OnceAnswer) => void;
}

/** A key that is being made, or has its value. */
interface Entry {
  maker: Line | undefined;
  value: { readonly value: unknown } | undefined;
  readonly waiters: Set<Waiter>;
}

/** See the top of the file. */
export class OnceDesk {
  readonly #entries = new Map<string, Entry>();
  readonly #keysMax: number;
  readonly #keeps: boolean;

  /**
   * @param options.keeps Whether a value stays when those who waited for it have it.
   * @param options.keysMax Keys that may have a value or be made at once.
   */
  constructor({ keeps, keysMax = ONCE_KEYS_MAX }: { readonly keeps: boolean; readonly keysMax?: number }) {
    this.#keeps = keeps;
    this.#keysMax = keysMax;
  }

  /** Listens to a shard's thread until that is gone. */
  accept(port: MessagePort): void {
    // A shard asks once for each key at a time, so the keys are the bound.
    const line: Line = new Boundary<OnceAsk, OnceAnswer>({ port, capacity: this.#keysMax * 2 });
    line.serve((ask, context) => this.#obey(line, ask, context));
    line.unref();
    void line.closed.then(() => this.#lost(line));
  }

  #obey(line: Line, ask: OnceAsk, { signal }: BoundaryContext): OnceAnswer | Promise<OnceAnswer> {
    if ("claim" in ask) return this.#claim(line, ask.claim, signal);
    if ("made" in ask) this.#made(line, ask.made, ask.value);
    else this.#failed(line, ask.failed, "thrown" in ask ? { thrown: ask.thrown } : { uncloneable: ask.uncloneable });
    return { run: true };
  }

  #claim(line: Line, key: string, signal: AbortSignal): OnceAnswer | Promise<OnceAnswer> {
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size >= this.#keysMax) return { full: this.#keysMax };
      this.#entries.set(key, { maker: line, value: undefined, waiters: new Set() });
      return { run: true };
    }
    if (entry.value !== undefined) return entry.value;
    return new Promise((resolve) => {
      const waiter: Waiter = { line, answer: resolve };
      entry.waiters.add(waiter);
      // Its thread is gone: it must not be chosen to make the value.
      signal.addEventListener("abort", () => entry.waiters.delete(waiter), { once: true });
    });
  }

  #made(line: Line, key: string, value: unknown): void {
    const entry = this.#entries.get(key);
    if (entry?.maker !== line) return;
    entry.maker = undefined;
    if (this.#keeps) entry.value = { value };
    else this.#entries.delete(key);
    this.#answerAll(entry, { value });
  }

  #failed(line: Line, key: string, answer: OnceAnswer): void {
    const entry = this.#entries.get(key);
    if (entry?.maker !== line) return;
    this.#entries.delete(key);
    this.#answerAll(entry, answer);
  }

  #answerAll(entry: Entry, answer: OnceAnswer): void {
    const waiters = [...entry.waiters];
    entry.waiters.clear();
    for (const waiter of waiters) waiter.answer(answer);
  }

  /** What a lost thread was making is made by the next one that waits. */
  #lost(line: Line): void {
    for (const [key, entry] of this.#entries) {
      for (const waiter of entry.waiters) if (waiter.line === line) entry.waiters.delete(waiter);
      if (entry.maker !== line) continue;
      const [next] = entry.waiters;
      if (next === undefined) {
        this.#entries.delete(key);
        continue;
      }
      entry.waiters.delete(next);
      entry.maker = next.line;
      next.answer({ run: true });
    }
  }
}
