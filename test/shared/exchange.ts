/** What the two threads of the lane and slab tests have agreed on. */
import { type LaneShape, laneLength } from "../../src/shared/lane.js";
import { type SlabShape, slabLength } from "../../src/shared/slab.js";

export const MESSAGES = 500_000;
export const LANE: LaneShape = { base: 128, capacity: 256 };
export const COUNTER = 0;
/** Stored by the sender when it has all its blocks back: 1 plus the times that its region was full. */
export const CREDIT = 16;
/** Words with references, and values sent through them. */
export const SLOTS = { first: 64, count: 48, values: 20_000 };
const SLAB_BASE = Math.ceil((LANE.base + laneLength(LANE.capacity)) / 16) * 16;
export const SLAB: SlabShape = {
  base: SLAB_BASE,
  lives: 33,
  deaths: 32,
  threads: 2,
  unitWords: 16,
  chunkUnits: 128,
  chunks: 8,
};
export const LENGTH = SLAB_BASE + slabLength(SLAB);

/** The message with this number. */
export function messageOf(index: number): readonly [first: number, second: number] {
  return [Math.imul(index, 0x9e37_79b1), ~index];
}

/** The value with this number: all sizes up to the largest block, so that chunks change their class. */
export function payloadOf(index: number): unknown {
  const length = Math.imul(index, 2_654_435_769) >>> 21;
  return [index, `${index}`.repeat(length % 500), { bytes: new Uint8Array(length).fill(index) }];
}
