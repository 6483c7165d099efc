// The subject `ringloom` of the suite `sync-shared`: the main thread and one that runs tasks, over the structures of `ringloom/sync` that threads share.
// Arguments: CASE WARMUP_SECONDS SECONDS. Prints { count, ns } as JSON.
import { startScheduler, tasks } from "ringloom";
import { sharedChannel, sharedMutex } from "ringloom/sync";

const [name, warmup, seconds] = process.argv.slice(2);
const scheduler = startScheduler({ compute: 1 });
const work = tasks(new URL("./sync-shared-tasks.js", import.meta.url));
const [there, back] = [sharedChannel("there"), sharedChannel("back")];
const mutex = sharedMutex("contended");
let next = 0;
const counts = new Int32Array(new SharedArrayBuffer(8));
/** How many are done between two looks at the clock. */
const BATCH = 64;

const cases = {
  "ping-pong": { other: () => work.echo(), step: pingPong },
  "fan-in": { other: () => work.pour(), step: receive },
  "lock-contended": { other: () => work.contend(counts), step: lock },
  "lock-alone": { other: () => undefined, step: lock },
};

const { other, step } = cases[name];
const running = other();
await runFor(Number(warmup));
const measured = await runFor(Number(seconds));
there.close();
back.close();
Atomics.store(counts, 0, 1);
await running;
await scheduler.close();
process.stdout.write(`${JSON.stringify(measured)}\n`);

async function runFor(limit) {
  const beginMs = performance.now();
  const before = Atomics.load(counts, 1);
  let count = 0;
  while (performance.now() - beginMs < limit * 1_000) {
    await step();
    count += BATCH;
  }
  return { count: count + Atomics.load(counts, 1) - before, ns: (performance.now() - beginMs) * 1e6 };
}

async function pingPong() {
  for (let n = 0; n < BATCH; n++) {
    await there.send(n);
    if ((await back.recv()) !== n) throw new Error("another value came back");
  }
}

async function receive() {
  for (let n = 0; n < BATCH; n++) {
    if ((await back.recv()) !== next++) throw new Error("a value is missing");
  }
}

async function lock() {
  for (let n = 0; n < BATCH; n++) (await mutex.lock()).release();
}
