/** Whom a spawn wakes beside a thread that is looking for work. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { PORT_MIB_DEFAULT } from "../constants.js";
import { createDoorbells } from "../driver/doorbell.js";
import { lifeOf } from "../shared/slab.js";
import { createFailureNote } from "./failure-note.js";
import { createFunctionTable } from "./function-table.js";
import { Places } from "./places.js";
import { createSchedulerWords, type SchedulerAssignment, viewScheduler } from "./scheduler-memory.js";
import { Seat } from "./seat.js";

const EXECUTORS = 2;
const SPAWNER = EXECUTORS;
const THREADS = EXECUTORS + 1;

/** All threads of a scheduler on this one; the second one that runs tasks sleeps. */
function rig() {
  const words = createSchedulerWords({ threads: THREADS, slotsPerThread: 16 });
  const view = viewScheduler(words, SPAWNER);
  const places = new Places(view.words, view.places, EXECUTORS);
  for (let place = 0; place < EXECUTORS; place++) places.assign(place, place);
  for (let thread = 0; thread < THREADS; thread++) {
    view.words.store(view.slab.lives + thread, lifeOf(thread, thread + 1));
  }
  const share: Omit<SchedulerAssignment, "thread" | "line"> = {
    words,
    functions: createFunctionTable(),
    failure: createFailureNote(),
    doorbells: createDoorbells(THREADS, () => "portable"),
    executors: EXECUTORS,
    places: EXECUTORS,
    sleep: "word",
    steals: true,
    blocking: 0,
    portMib: PORT_MIB_DEFAULT,
    callableShards: 0,
  };
  const [spawner, first, second] = [SPAWNER, 0, 1].map(
    (thread) => new Seat({ ...share, thread, line: new MessageChannel().port1 }),
  ) as [Seat, Seat, Seat];
  const name = { module: "file:///nowhere.js", name: "nothing" };
  const spawn = (): void => void spawner.spawn(spawner.functionNumber(name), []).catch(() => undefined);
  second.segment.idle.announce(1, "word");
  return { runner: first.openExecutor(), idle: first.segment.idle, wakes: () => spawner.ringer.wakes, spawner, spawn };
}

describe("Executor", () => {
  test("goes on searching when it has found nothing, and a spawn wakes nobody else", () => {
    const { runner, idle, wakes, spawn, spawner } = rig();
    runner.keepsSearch = true;
    assert.equal(runner.runMany(1, 1), 0);
    assert.ok(runner.isSearching && idle.isSearcher(0));
    spawn();
    assert.equal(wakes(), 0);
    runner.handOn();
    assert.equal(idle.isSearcher(0), false);
    assert.equal(spawner.segment.parkers.isParked(1), false, "what it has not taken is for the other one");
  });

  test("ends a search in vain where its thread may run user code next", () => {
    const { runner, idle, wakes, spawn } = rig();
    assert.equal(runner.runMany(1, 1), 0);
    assert.equal(runner.isSearching || idle.isSearcher(0), false);
    spawn();
    assert.equal(wakes(), 1);
  });
});
