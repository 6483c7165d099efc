/** A small seeded generator of random numbers (mulberry32), so that a random test can be repeated. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 32 random bits, not negative. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * limit);
  }

  /** A generator of its own, whose sequence does not depend on who draws from this one later. */
  fork(): Random {
    return new Random(this.next());
  }
}

/** The seed of this run: `RINGLOOM_SEED`, else a new one. Print it. */
export function seedOf(): number {
  const given = process.env.RINGLOOM_SEED;
  if (given === undefined || given === "") return Math.floor(Math.random() * 0x7fff_ffff);
  const seed = Number(given);
  if (!Number.isInteger(seed)) throw new RangeError(`RINGLOOM_SEED is not an integer: ${given}`);
  return seed;
}
