/*
 * The subject `messageport` of the suite `sync-shared`: the same between the main thread and a worker by `postMessage`, at most 255 values ahead of what was received.
 * Arguments: CASE WARMUP_SECONDS SECONDS. Prints { count, ns } as JSON.
 */
import { once } from "node:events";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const BATCH = 64;
const AHEAD_MAX = 255;

if (isMainThread) await measure(process.argv.slice(2));
else serve();

async function measure([name, warmup, seconds]) {
  const worker = new Worker(new URL(import.meta.url));
  const values = [];
  let wake;
  worker.on("message", (value) => {
    values.push(value);
    wake?.();
  });
  await once(worker, "online");
  if (name === "fan-in") worker.postMessage("pour");
  await runFor(Number(warmup));
  const measured = await runFor(Number(seconds));
  await worker.terminate();
  process.stdout.write(`${JSON.stringify(measured)}\n`);

  async function runFor(limit) {
    const beginMs = performance.now();
    let count = 0;
    while (performance.now() - beginMs < limit * 1_000) {
      for (let n = 0; n < BATCH; n++) {
        if (name === "ping-pong") worker.postMessage(n);
        await receive();
      }
      if (name === "fan-in") worker.postMessage("more");
      count += BATCH;
    }
    return { count, ns: (performance.now() - beginMs) * 1e6 };
  }

  async function receive() {
    if (values.length === 0) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    return values.shift();
  }
}

function serve() {
  let sent = 0;
  let allowed = AHEAD_MAX;
  parentPort.on("message", (value) => {
    if (value === "pour" || value === "more") {
      if (value === "more") allowed += BATCH;
      while (sent < allowed) parentPort.postMessage(sent++);
    } else parentPort.postMessage(value);
  });
}
