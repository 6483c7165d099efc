/**
 * Bytes that arrived for a paused connection: copied, in order, until it is resumed. What one connection can hold is what the kernel had already
 * received when the pause reached it, at most one turn's worth.
 */
export class HeldBytes {
  /** Pieces that are held, over all connections. */
  chunksNow = 0;
  readonly #queues = new Map<number, Uint8Array[]>();

  add(slot: number, bytes: Uint8Array): void {
    this.chunksNow += 1;
    const queue = this.#queues.get(slot);
    if (queue === undefined) this.#queues.set(slot, [bytes]);
    else queue.push(bytes);
  }

  /** The oldest bytes of `slot`, or undefined when it holds none. */
  take(slot: number): Uint8Array | undefined {
    const queue = this.#queues.get(slot);
    if (queue === undefined) return undefined;
    const bytes = queue.shift();
    this.chunksNow -= 1;
    if (queue.length === 0) this.#queues.delete(slot);
    return bytes;
  }

  /** All bytes of `slot` in one piece. */
  takeAll(slot: number): Uint8Array {
    const all = Buffer.concat(this.#queues.get(slot) ?? []);
    this.drop(slot);
    return all;
  }

  drop(slot: number): void {
    const queue = this.#queues.get(slot);
    if (queue === undefined) return;
    this.chunksNow -= queue.length;
    this.#queues.delete(slot);
  }
}
