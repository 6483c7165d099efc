/**
 * The ids of shards that run tasks. Shard s serves place s. Its first thread gets the id s; one that takes over while the first is still there gets a spare one, and serves the place when it has loaded and the first begins to drain, or when that has
 * ended.
 *
 *     ids: [ one for each shard ] [ spare ones ]
 */
import { assert } from "../assert.js";
import type { ReapOptions } from "../shared/reaper.js";
import { NOBODY, type Places } from "./places.js";

/** Who has which id. The supervisor's alone. */
export class ShardIds {
  readonly #places: Places;
  /** By id: the place of the thread that has it. */
  readonly #placeOf: (number | undefined)[];
  /** Ids of threads that have begun to end. They finish what they have, and get nothing new. */
  readonly #ending = new Set<number>();
  /** Spare ids that nobody has. */
  readonly #vacant: number[] = [];

  /** There are `idCount` ids, at least one for each place. */
  constructor(places: Places, idCount: number) {
    assert(idCount >= places.count, "each place has an id");
    this.#places = places;
    this.#placeOf = new Array<undefined>(idCount).fill(undefined);
    for (let place = 0; place < places.count; place++) places.assign(place, place);
    for (let id = places.count; id < idCount; id++) this.#vacant.push(id);
  }

  /** An id for a new thread of a shard, or undefined when all are taken. */
  admit(place: number): number | undefined {
    const home = this.#places.holderOf(place);
    // The successor of a dead thread has its id, and with it what is pinned there.
    const isFree = home !== NOBODY && this.#placeOf[home] === undefined;
    const id = isFree ? home : this.#vacant.shift();
    if (id !== undefined) this.#placeOf[id] = place;
    return id;
  }

  /** A thread begins to end. Its place goes to the one that is there to take over, if there is one. */
  handOver(id: number): void {
    const place = this.#placeOf[id];
    assert(place !== undefined, "only a thread that is there hands over");
    this.#ending.add(id);
    if (this.#places.holderOf(place) !== id) return;
    const successor = this.#successorOf(id, place);
    if (successor !== -1) this.#places.assign(place, successor);
  }

  /** A thread has ended. Gives what the reaper has to know, which the caller calls at once. */
  leave(id: number, isReplaced: boolean): ReapOptions {
    const place = this.#placeOf[id];
    assert(place !== undefined, "only a thread that is there leaves");
    this.#placeOf[id] = undefined;
    this.#ending.delete(id);
    const holder = this.#places.holderOf(place);
    if (holder !== id) {
      this.#vacant.push(id);
      // What it was sent before it handed its place over, and has not begun.
      return holder === NOBODY ? { isReplaced: false } : { isReplaced: false, successor: holder };
    }
    const successor = this.#successorOf(id, place);
    if (successor !== -1) {
      this.#places.assign(place, successor);
      this.#vacant.push(id);
      return { isReplaced: false, successor };
    }
    if (!isReplaced) {
      this.#places.assign(place, NOBODY);
      this.#vacant.push(id);
    }
    return { isReplaced };
  }

  /** Nobody who ends already: when who has taken over crashes, the place waits for the next one, as that of any thread that crashes. */
  #successorOf(id: number, place: number): number {
    return this.#placeOf.findLastIndex((served, other) => served === place && other !== id && !this.#ending.has(other));
  }

  /** No thread that is gone has a successor from now on. Gives the ids that waited for one, for the reaper. */
  endReplacing(): number[] {
    const ended: number[] = [];
    for (let place = 0; place < this.#places.count; place++) {
      const id = this.#places.holderOf(place);
      if (id === NOBODY || this.#placeOf[id] !== undefined) continue;
      this.#places.assign(place, NOBODY);
      this.#vacant.push(id);
      ended.push(id);
    }
    return ended;
  }
}
