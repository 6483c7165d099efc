// A link for peers/pairs/sync-pair.js over Ringloom's lanes (`src/shared/lane.ts`), the subject `ringloom-lane` of the suite `messages`: a lane each way between two threads that block in
// Atomics.wait. Who waits announces that, looks again, and sleeps; who flushed to an empty lane wakes it. Shards block in their drivers instead.
import { LaneReceiver, LaneSender, laneLength } from "../../dist/src/shared/lane.js";
import { SharedWords } from "../../dist/src/shared/words.js";

const CAPACITY = 4_096;
const LANE = laneLength(CAPACITY);
const LINE = 16;
const SPIN_MS = 0.05;
/** A shard publishes once a turn; here a turn sends at most so many words, as the batches of c-msg_ring. */
const BATCH = 64;

// Two lanes, and a line for each side's word that says it sleeps.
export const BYTES = (2 * LANE + 2 * LINE) * 4;

export function open(buffer, side, regime) {
  const isClient = side === "client";
  const shared = new SharedWords(buffer);
  const out = new LaneSender(shared, { base: isClient ? 0 : LANE, capacity: CAPACITY });
  const into = new LaneReceiver(shared, { base: isClient ? LANE : 0, capacity: CAPACITY });
  const words = new Int32Array(buffer);
  const ownParked = 2 * LANE + (isClient ? 0 : LINE);
  const otherParked = 2 * LANE + (isClient ? LINE : 0);

  function flush() {
    if (!out.flush()) return;
    if (Atomics.load(words, otherParked) !== 0 && Atomics.exchange(words, otherParked, 0) !== 0) {
      Atomics.notify(words, otherParked, 1);
    }
  }

  function park() {
    Atomics.store(words, ownParked, 1);
    while (into.isIdle() && Atomics.load(words, ownParked) !== 0) Atomics.wait(words, ownParked, 1);
    Atomics.store(words, ownParked, 0);
  }

  function wait() {
    // What was taken goes back when a batch is used up, as at the end of a turn; the sender would find the lane full else.
    into.release();
    let spinEndMs = 0;
    for (let spins = 1; !into.next(); spins++) {
      if (regime === "busy") continue;
      if (regime === "parked") {
        park();
      } else if ((spins & 255) === 0) {
        const nowMs = performance.now();
        if (spinEndMs === 0) spinEndMs = nowMs + SPIN_MS;
        else if (nowMs > spinEndMs) park();
      }
    }
  }

  return {
    send(value) {
      // Full until the other side has used up its batch and given the cells back.
      while (!out.push(value | 0, 0)) flush();
      if (out.unflushedCount >= BATCH) flush();
    },
    flush,
    receive() {
      if (!into.next()) wait();
      return into.first >>> 0;
    },
  };
}
