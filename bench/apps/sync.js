// Ringloom's side of the suite `sync`: see ../peers/sync/main.js for how it is run, ../suites/sync.ts for what the cases are.
import { channel, mutex, select, withGroup } from "../../dist/src/sync/index.js";

const OPERATIONS = 100_000;
const TASKS = 10_000;
const MANY = 1_000;

export const cases = {
  spawn,
  "ping-pong-1": () => pingPong(1),
  "ping-pong-100": () => pingPong(100),
  "fan-in": () => pass(MANY, 1),
  "fan-out": () => pass(1, MANY),
  "channel-1": channelAlone,
  "lock-1": () => lock(1),
  "lock-100": () => lock(100),
  "select-2": selectOfTwo,
  "await-hop": awaitHop,
};

async function spawn() {
  let count = 0;
  await withGroup((all) => {
    for (let n = 0; n < TASKS; n++) {
      void all.spawn(async () => {
        count += 1;
      });
    }
  });
  return count;
}

async function pingPong(pairs) {
  const limit = OPERATIONS / pairs;
  let sum = 0;
  await withGroup((all) => {
    for (let n = 0; n < pairs; n++) {
      const [there, back] = [channel(1), channel(1)];
      const play = async (from, to) => {
        for await (const value of from) {
          if (value < limit) await to.send(value + 1);
          else {
            sum += value;
            to.close();
            return;
          }
        }
      };
      void all.spawn(() => play(there, back));
      void all.spawn(() => play(back, there));
      there.trySend(1);
    }
  });
  return sum;
}

/** OPERATIONS values through one channel. */
async function pass(producers, consumers) {
  const values = channel(256);
  let sum = 0;
  await withGroup(async (all) => {
    for (let n = 0; n < consumers; n++) {
      void all.spawn(async () => {
        let own = 0;
        for await (const value of values) own ^= value;
        sum ^= own;
      });
    }
    await withGroup((producing) => {
      const share = OPERATIONS / producers;
      for (let n = 0; n < producers; n++) {
        void producing.spawn(async () => {
          for (let i = 1; i <= share; i++) await values.send(n * share + i);
        });
      }
    });
    values.close();
  });
  return sum >>> 0;
}

async function channelAlone() {
  const values = channel(1);
  let sum = 0;
  for (let n = 0; n < OPERATIONS; n++) {
    await values.send(1);
    sum += await values.recv();
  }
  return sum;
}

async function lock(tasks) {
  const guarded = mutex();
  let sum = 0;
  await withGroup((all) => {
    for (let n = 0; n < tasks; n++) {
      void all.spawn(async () => {
        for (let i = 0; i < OPERATIONS / tasks; i++) {
          const guard = await guarded.lock();
          sum += 1;
          guard.release();
        }
      });
    }
  });
  return sum;
}

async function selectOfTwo() {
  const [ready, idle] = [channel(1), channel(1)];
  let sum = 0;
  for (let n = 0; n < OPERATIONS; n++) {
    ready.trySend(1);
    sum += (await select({ ready, idle })).value;
  }
  return sum;
}

async function awaitHop() {
  let sum = 0;
  for (let n = 0; n < OPERATIONS; n++) sum += await hop();
  return sum;
}

async function hop() {
  return 1;
}
