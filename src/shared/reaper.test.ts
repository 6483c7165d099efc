import assert from "node:assert/strict";
import { test } from "node:test";
import { RERUNS_MAX } from "../constants.js";
import { layoutOf } from "./layout.js";
import { Reaper, type ReapOptions, type ReapReport } from "./reaper.js";
import { Segment } from "./segment.js";
import {
  CANCELLED,
  DONE,
  FREE,
  IDEMPOTENT,
  JOIN_INTEREST,
  LOST,
  PINNED,
  phaseOf,
  QUEUED,
  RUNNING,
} from "./task-state.js";
import { SharedWords } from "./words.js";

const DEAD = 1;

test("Reaper.reap() rejects what the dead thread ran and tells the origin", () => {
  const { client, dead, origin, reap } = scene();
  const slot = spawn(client, origin, JOIN_INTEREST);
  dead.table.claim(slot, DEAD);
  assert.deepEqual(reap(), { lost: 1, requeued: 0, orphaned: 0, ring: [] });
  assert.equal(origin.nextSettled(), slot);
  assert.notEqual(client.table.stateOf(slot) & LOST, 0);
  origin.free(slot);
});

test("Reaper.reap() queues an idempotent task again, unless it was cancelled", () => {
  const { client, dead, origin, reap } = scene();
  const again = spawn(client, origin, JOIN_INTEREST | IDEMPOTENT);
  const cancelled = spawn(client, origin, JOIN_INTEREST | IDEMPOTENT);
  dead.table.claim(again, DEAD);
  dead.table.claim(cancelled, DEAD);
  client.table.cancel(cancelled, 0);
  assert.deepEqual(reap(), { lost: 1, requeued: 1, orphaned: 0, ring: [] });
  assert.equal(client.injector.take(), again);
  assert.notEqual(client.table.claim(again, 0), 0);
  assert.equal(origin.nextSettled(), cancelled);
});

test("Reaper.reap() keeps queued tasks pinned to the dead thread for its successor, and rejects them where there is none", () => {
  for (const isReplaced of [false, true]) {
    const { client, origin, reap, supervisor } = scene();
    const plain = spawn(client, origin, JOIN_INTEREST | PINNED, DEAD);
    const patient = spawn(client, origin, JOIN_INTEREST | PINNED | IDEMPOTENT, DEAD);
    assert.equal(reap({ isReplaced }).lost, isReplaced ? 0 : 2);
    for (const slot of [plain, patient]) {
      assert.equal(origin.nextSettled(), isReplaced ? -1 : slot);
      assert.equal(supervisor.inboxes[DEAD]!.take(), isReplaced ? slot : -1);
      assert.equal(phaseOf(client.table.stateOf(slot)), isReplaced ? QUEUED : DONE);
    }
  }
});

test("Reaper.reap() hands what is pinned to the dead thread to a successor that is there already", () => {
  const successor = 2;
  const { client, dead, origin, reap, segmentOf } = scene();
  const queued = spawn(client, origin, JOIN_INTEREST | PINNED, DEAD);
  const again = spawn(client, origin, JOIN_INTEREST | PINNED | IDEMPOTENT, DEAD);
  const lost = spawn(client, origin, JOIN_INTEREST | PINNED, DEAD);
  for (const slot of [again, lost]) assert.notEqual(dead.table.claim(slot, DEAD), 0);
  assert.deepEqual(reap({ isReplaced: false, successor }), { lost: 1, requeued: 1, orphaned: 0, ring: [] });
  assert.equal(origin.nextSettled(), lost);
  const inbox = segmentOf(successor).inboxes[successor]!;
  assert.deepEqual([inbox.take(), inbox.take(), inbox.take()].sort(), [-1, queued, again].sort());
  for (const slot of [queued, again]) {
    assert.equal(client.table.claim(slot, DEAD), 0);
    assert.notEqual(client.table.claim(slot, successor), 0);
  }
});

test("Reaper.reap() gives back the outcome of a run that was cut before the task is queued again", () => {
  const { client, dead, origin, supervisor } = scene();
  const again = spawn(client, origin, JOIN_INTEREST | IDEMPOTENT);
  dead.table.claim(again, DEAD);
  const phases: number[] = [];
  const releaseOutcome = (slot: number): number => phases.push(phaseOf(client.table.stateOf(slot)));
  new Reaper(supervisor, { release: () => assert.fail("it is not freed"), releaseOutcome }).reap(DEAD, {
    isReplaced: true,
  });
  assert.deepEqual(phases, [RUNNING]);
  assert.equal(phaseOf(client.table.stateOf(again)), QUEUED);
});

test("Reaper.reap() rejects an idempotent task that has outlived too many threads", () => {
  const { client, dead, origin, reap } = scene();
  const slot = spawn(client, origin, JOIN_INTEREST | IDEMPOTENT);
  for (let run = 0; run < RERUNS_MAX; run++) {
    dead.table.claim(slot, DEAD);
    assert.equal(reap().requeued, 1);
  }
  dead.table.claim(slot, DEAD);
  assert.equal(reap().lost, 1);
  assert.equal(origin.nextSettled(), slot);
  origin.free(slot);
  for (let n = 0; n < 4; n++) spawn(client, origin, JOIN_INTEREST | IDEMPOTENT);
  dead.table.claim(slot, DEAD);
  assert.equal(reap().requeued, 1, "the next task in the slot begins anew");
});

test("Reaper.reap() adds again what the dead thread had in its hands, and the ends that it had not told", () => {
  const { client, dead, origin, reap } = scene();
  const queue = client.openQueue();
  const stolen = spawn(client, origin, JOIN_INTEREST);
  const told = spawn(client, origin, JOIN_INTEREST);
  queue.push(stolen);
  queue.push(told);
  const own = dead.openQueue();
  assert.equal(dead.stealFrom(0, own, 1), stolen);
  // It dies with the first hint in its hands, and after completing the second task.
  assert.equal(dead.stealFrom(0, own, 1), told);
  dead.table.complete(told, dead.table.claim(told, DEAD));
  reap();
  assert.equal(client.injector.take(), stolen);
  assert.equal(origin.nextSettled(), told);
});

test("Reaper.reap() drops the tasks that the dead thread had spawned, and its successor gets all its slots back", () => {
  const { client, dead, reap, segmentOf } = scene();
  const gone = dead.openOrigin();
  const queued = spawn(dead, gone, JOIN_INTEREST);
  const elsewhere = spawn(dead, gone, JOIN_INTEREST);
  const done = spawn(dead, gone, JOIN_INTEREST);
  dead.openQueue().push(queued);
  const claimed = client.table.claim(elsewhere, 0);
  client.table.complete(done, client.table.claim(done, 0));
  client.settle(done);
  assert.equal(reap().orphaned, 3);
  for (const slot of [queued, done]) assert.equal(phaseOf(client.table.stateOf(slot)), FREE);
  const successor = segmentOf(DEAD).openOrigin();
  assert.equal(successor.liveCount, 1, "one still runs");
  assert.equal(segmentOf(DEAD).openQueue().pop(), -1);
  const state = client.table.complete(elsewhere, claimed);
  assert.notEqual(state & CANCELLED, 0, "who ran it could see that nobody waits");
  client.settle(elsewhere);
  assert.equal(successor.nextSettled(), elsewhere);
  assert.equal(client.table.stateOf(elsewhere) & JOIN_INTEREST, 0);
  successor.free(elsewhere);
  assert.equal(successor.liveCount, 0);
});

test("Reaper.reap() rings everybody who sleeps, and frees the search", () => {
  const { client, dead, reap } = scene();
  client.idle.announce(0, "loop");
  // The dead thread had chosen 0, and had not rung.
  assert.equal(dead.idle.wakeOne(), "loop");
  dead.idle.beginSearch(DEAD);
  assert.deepEqual(reap().ring, [0]);
  assert.equal(client.idle.retract(0), false);
  assert.ok(client.idle.beginSearch(2));
});

test("Reaper.reap() done twice changes nothing", () => {
  const { client, dead, origin, reap } = scene();
  const slot = spawn(client, origin, JOIN_INTEREST);
  dead.table.claim(slot, DEAD);
  reap();
  assert.deepEqual(reap(), { lost: 0, requeued: 0, orphaned: 0, ring: [] });
  assert.equal(origin.nextSettled(), slot);
  assert.equal(origin.nextSettled(), -1);
});

function spawn(segment: Segment, origin: ReturnType<Segment["openOrigin"]>, flags: number, thread = 0): number {
  const slot = origin.open();
  segment.table.setCall(slot, 1, 2);
  origin.publish(slot, flags, thread);
  return slot;
}

function scene() {
  const layout = layoutOf({ threads: 3, slotsPerThread: 4, queueCapacity: 4, lifoSlots: 0 });
  const words = new SharedWords(new SharedArrayBuffer(layout.length * 4));
  const segmentOf = (self: number) => new Segment(words, layout, self);
  const client = segmentOf(0);
  const supervisor = segmentOf(2);
  const reap = (options: ReapOptions = { isReplaced: true }): ReapReport => new Reaper(supervisor).reap(DEAD, options);
  return { client, dead: segmentOf(DEAD), supervisor, segmentOf, origin: client.openOrigin(), reap };
}
