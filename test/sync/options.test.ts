/** What JavaScript callers without types pass to the structures of one thread: typed errors, and nothing has changed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  barrier,
  broadcast,
  channel,
  condvar,
  event,
  mutex,
  notify,
  onceCell,
  oneshot,
  rwLock,
  select,
  semaphore,
  trySelect,
  watch,
} from "../../src/sync/index.js";
import { withCode } from "./rig.js";

const INVALID = withCode("ERR_RINGLOOM_INVALID_OPTION");
/** Typed as nothing, so that it fits everywhere. */
const WRONG: readonly (readonly [name: string, options: never])[] = [
  ["null", null],
  ["a number", 5],
  ["a signal itself", AbortSignal.timeout(60_000)],
  ["an unknown name", { timeout: 5 }],
].map(([name, options]) => [name as string, options as never]);

const MAKERS: Record<string, (options: never) => unknown> = {
  mutex,
  rwLock,
  event,
  notify,
  semaphore: (options) => semaphore(1, options),
  condvar: (options) => condvar(mutex(), options),
  channel: (options) => channel(1, options),
  broadcast: (options) => broadcast(1, options),
  subscribe: (options) => broadcast(1).subscribe(options),
  watch: (options) => watch(1, options),
};

describe("the options of what makes a structure", () => {
  for (const [maker, make] of Object.entries(MAKERS)) {
    for (const [name, options] of WRONG)
      test(`${maker} refuses ${name}`, () => assert.throws(() => make(options), INVALID));
  }

  test("the bound of those that wait is a number", () => {
    for (const waitingMax of [null, "5", -1, Number.NaN]) {
      assert.throws(() => mutex({ waitingMax: waitingMax as number }), INVALID);
    }
  });

  test("condvar() needs a mutex, and onceCell() a function", () => {
    assert.throws(() => condvar({} as never), INVALID);
    assert.throws(() => onceCell("value" as never), INVALID);
  });
});

const held = mutex();
const WAITS: Record<string, (options: never) => Promise<unknown>> = {
  "mutex.lock": (options) => held.lock(options),
  "rwLock.read": (options) => rwLock().read(options),
  "rwLock.write": (options) => rwLock().write(options),
  "semaphore.acquire": (options) => semaphore(1).acquire(1, options),
  "barrier.wait": (options) => barrier(2).wait(options),
  "event.wait": (options) => event().wait(options),
  "notify.wait": (options) => notify().wait(options),
  "condvar.wait": async (options) => {
    const lock = mutex();
    return condvar(lock).wait(await lock.lock(), options);
  },
  "onceCell.get": (options) => onceCell(() => 1).get(options),
  "oneshot.recv": (options) => oneshot().recv(options),
  "channel.send": (options) => channel(1).send("value", options),
  "channel.recv": (options) => channel(1).recv(options),
  "subscription.recv": (options) => broadcast(1).subscribe().recv(options),
  "watcher.recv": (options) => watch(1).subscribe().recv(options),
  select: (options) => select({ lock: mutex() }, options),
};

describe("the options of a wait", () => {
  for (const [wait, call] of Object.entries(WAITS)) {
    for (const [name, options] of WRONG) test(`${wait} refuses ${name}`, () => assert.rejects(call(options), INVALID));
  }

  test("trySelect() refuses the same, and a random that is none", () => {
    for (const [, options] of WRONG) assert.throws(() => trySelect({ lock: mutex() }, options), INVALID);
    assert.throws(() => trySelect({ lock: mutex() }, { random: 1 as never }), INVALID);
  });

  test("nothing is taken by what was refused", () => assert.ok(held.tryLock()));
});
