/** Files on several threads, each with a driver of its own, and threads that end in the midst of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Worker } from "node:worker_threads";
import { driversUnderTest } from "../support/drivers.js";
import { within } from "../support/signal.js";

const MODULE = new URL("../../src/fs/index.js", import.meta.url).href;
const PROGRAM = `
  import { open, readFile, remove, stat, writeFile } from ${JSON.stringify(MODULE)};
  import { parentPort, workerData } from "node:worker_threads";
  const path = workerData.path;
  let rounds = 0;
  const work = async (index) => {
    const own = path + "-" + index;
    await writeFile(own, "x".repeat(10_000));
    const [bytes, { size }] = await Promise.all([readFile(own), stat(own)]);
    if (bytes.length !== 10_000 || size !== 10_000) throw new Error("another file");
    const file = await open(own, { write: true });
    await Promise.all([file.write("y"), file.allocate(0, 20_000), file.sync()]);
    await file.close();
    await remove(own);
    rounds += 1;
    if (rounds === workerData.rounds) parentPort.postMessage(rounds);
  };
  const loop = async (index) => {
    while (rounds < workerData.rounds || workerData.isEndless) await work(index);
  };
  await Promise.all(Array.from({ length: 8 }, (_, index) => loop(index)));
`;

let folder = "";
before(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "ringloom-fs-"));
});
after(() => fs.rmSync(folder, { recursive: true }));

for (const { name, skip } of driversUnderTest) {
  const start = (number: number, isEndless: boolean): Worker =>
    new Worker(new URL(`data:text/javascript,${encodeURIComponent(PROGRAM)}`), {
      workerData: { path: join(folder, `${name}-${isEndless}-${number}`), rounds: 8, isEndless },
      env: { ...process.env, RINGLOOM_DRIVER: name },
    });

  test(`three threads work with files at once, and end by themselves, on ${name}`, { skip }, async () => {
    const workers = [0, 1, 2].map((number) => start(number, false));
    const ends = workers.map(async (worker) => {
      const [code] = await once(worker, "exit");
      assert.equal(code, 0);
    });
    await within("the threads to end", Promise.all(ends));
    assert.deepEqual(fs.readdirSync(folder), []);
  });

  test(`threads that are terminated while the kernel works for them harm nobody, on ${name}`, { skip }, async () => {
    for (let round = 0; round < 3; round++) {
      const worker = start(round, true);
      await within("a thread to be at work", once(worker, "message"));
      await within("a thread to be gone", worker.terminate());
    }
    for (const left of fs.readdirSync(folder)) fs.unlinkSync(join(folder, left));
  });
}
