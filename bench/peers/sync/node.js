// The subject `node` of the suite `sync`: the same with what Node has by itself: promises, events, streams. See main.js.
import { EventEmitter, once } from "node:events";
import { PassThrough } from "node:stream";

const OPERATIONS = 100_000;
const TASKS = 10_000;
const MANY = 1_000;

export const cases = {
  spawn,
  "ping-pong-1": () => pingPong(1),
  "ping-pong-100": () => pingPong(100),
  "fan-in": fanIn,
  "lock-1": () => lock(1),
  "lock-100": () => lock(100),
  "select-2": race,
  "await-hop": awaitHop,
};

async function spawn() {
  let count = 0;
  const run = async () => {
    count += 1;
  };
  await Promise.all(Array.from({ length: TASKS }, run));
  return count;
}

async function pingPong(pairs) {
  const limit = OPERATIONS / pairs;
  const finals = Array.from({ length: pairs }, async () => {
    const table = new EventEmitter();
    let answer = once(table, "there");
    const echo = (async () => {
      for (;;) {
        const [value] = await answer;
        answer = once(table, "there");
        table.emit("back", value + 1);
        if (value + 1 >= limit) return;
      }
    })();
    let value = 0;
    while (value < limit) {
      const back = once(table, "back");
      table.emit("there", value + 1);
      [value] = await back;
    }
    await echo;
    return value;
  });
  return (await Promise.all(finals)).reduce((sum, value) => sum + value, 0);
}

async function fanIn() {
  const values = new PassThrough({ objectMode: true, highWaterMark: 256 });
  values.setMaxListeners(0);
  const share = OPERATIONS / MANY;
  const producers = Array.from({ length: MANY }, async (_, n) => {
    for (let i = 1; i <= share; i++) if (!values.write(n * share + i)) await once(values, "drain");
  });
  const ended = Promise.all(producers).then(() => values.end());
  let sum = 0;
  for await (const value of values) sum ^= value;
  await ended;
  return sum >>> 0;
}

/** A chain of promises, as it is usually written. */
async function lock(tasks) {
  let tail = Promise.resolve();
  let sum = 0;
  const run = async () => {
    for (let i = 0; i < OPERATIONS / tasks; i++) {
      let release;
      const before = tail;
      tail = new Promise((resolve) => {
        release = resolve;
      });
      await before;
      sum += 1;
      release();
    }
  };
  await Promise.all(Array.from({ length: tasks }, run));
  return sum;
}

async function race() {
  let sum = 0;
  for (let n = 0; n < OPERATIONS; n++) sum += await Promise.race([Promise.resolve(1), new Promise(() => {})]);
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
