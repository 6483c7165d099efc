/*
 * The link of the subject `atomics`: a ring of words each way in a SharedArrayBuffer, with Atomics.wait and Atomics.notify. The same algorithm as ../futex-pair.c:
 * the consumer announces that it sleeps, looks again, and sleeps; the producer publishes, then looks whether somebody sleeps.
 */
const CAPACITY = 4_096;
const LINE = 16;
const TAIL = 0;
const PARKED = LINE;
const CELLS = 2 * LINE;
const LANE = CELLS + CAPACITY;
const SPIN_MS = 0.05;

export const BYTES = 2 * LANE * 4;

export function open(buffer, side, regime) {
  const out = new Producer(buffer, side === "client" ? 0 : LANE);
  const into = new Consumer(buffer, side === "client" ? LANE : 0, regime);
  // Each word is published on its own, so nothing is left to flush.
  return { send: (value) => out.send(value), flush: () => {}, receive: () => into.receive() };
}

class Producer {
  #words;
  #base;
  #tail = 0;

  constructor(buffer, base) {
    this.#words = new Int32Array(buffer);
    this.#base = base;
  }

  send(value) {
    const words = this.#words;
    const base = this.#base;
    words[base + CELLS + (this.#tail & (CAPACITY - 1))] = value;
    this.#tail = (this.#tail + 1) | 0;
    Atomics.store(words, base + TAIL, this.#tail);
    if (Atomics.load(words, base + PARKED) === 0) return;
    if (Atomics.exchange(words, base + PARKED, 0) !== 0) Atomics.notify(words, base + PARKED, 1);
  }
}

class Consumer {
  #words;
  #base;
  #regime;
  #head = 0;

  constructor(buffer, base, regime) {
    this.#words = new Int32Array(buffer);
    this.#base = base;
    this.#regime = regime;
  }

  receive() {
    const words = this.#words;
    const tail = this.#base + TAIL;
    if (Atomics.load(words, tail) === this.#head) this.#wait();
    const value = words[this.#base + CELLS + (this.#head & (CAPACITY - 1))];
    this.#head = (this.#head + 1) | 0;
    return value >>> 0;
  }

  #wait() {
    const words = this.#words;
    const tail = this.#base + TAIL;
    const head = this.#head;
    let spinEndMs = 0;
    for (let spins = 1; Atomics.load(words, tail) === head; spins++) {
      if (this.#regime === "busy") continue;
      if (this.#regime === "parked") {
        this.#park();
      } else if ((spins & 255) === 0) {
        const nowMs = performance.now();
        if (spinEndMs === 0) spinEndMs = nowMs + SPIN_MS;
        else if (nowMs > spinEndMs) this.#park();
      }
    }
  }

  #park() {
    const words = this.#words;
    const parked = this.#base + PARKED;
    Atomics.store(words, parked, 1);
    while (Atomics.load(words, this.#base + TAIL) === this.#head && Atomics.load(words, parked) !== 0) {
      Atomics.wait(words, parked, 1);
    }
    Atomics.store(words, parked, 0);
  }
}
