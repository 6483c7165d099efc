/*
 * Runs one case of the suite `fs` with one way to read and prints one line of JSON.
 *
 *     node files/main.js MODULE CASE WARMUP_SECONDS SECONDS PATH
 *
 * MODULE exports `open(path)`, which returns (or resolves to) `{ sequence(positions, buffer), batch(positions, buffers), close() }`. `sequence` reads 4,096 bytes from each position, one after
 * the other, into one buffer; `batch` all at once, each into a buffer of its own. Both return (or resolve to) the number of bytes. `readingEach(read)` makes the two of a function that returns a promise.
 *
 * PATH is a file of 16 MiB of 0xa5. An iteration is 256 reads in sequence (`fs_read_rtt_4k`) or 4,096 reads in batches of 32 (`fs_read_throughput_4k_qd32`), of block i of the file. Every byte count is checked, and the
 * buffers after each iteration. tokio/src/files.rs, go/files.go and file-read.c take the same arguments behind the module and print the same line.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const BLOCK = 4_096;
const BLOCKS = 4_096;
const SEQUENCE = 256;
const WIDTH = 32;
const FILL = 0xa5;

const [module, name, warmupText, secondsText, path] = process.argv.slice(2);
const { open } = await import(pathToFileURL(resolve(module)).href);
const reader = await open(path);
const isBatched = name === "fs_read_throughput_4k_qd32";
const buffers = Array.from({ length: isBatched ? WIDTH : 1 }, () => new Uint8Array(BLOCK));
const width = isBatched ? WIDTH : SEQUENCE;
const groups = Array.from({ length: isBatched ? BLOCKS / WIDTH : 1 }, (_, group) =>
  Array.from({ length: width }, (_, index) => (group * width + index) * BLOCK),
);
await runFor(Number(warmupText));
process.stdout.write(`${JSON.stringify(await runFor(Number(secondsText)))}\n`);
await reader.close();

async function runFor(seconds) {
  const cpuBefore = process.cpuUsage();
  const beginMs = performance.now();
  let nowMs = beginMs;
  let count = 0;
  let ms = 0;
  while (nowMs - beginMs < seconds * 1_000) {
    for (const buffer of buffers) buffer.fill(0);
    const startedMs = performance.now();
    count += await iterate();
    ms += performance.now() - startedMs;
    if (!buffers.every((buffer) => buffer.every((byte) => byte === FILL))) throw new Error("a buffer was not filled");
    nowMs = performance.now();
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { count, ns: ms * 1e6, cpuNs: (user + system) * 1e3, wallNs: (nowMs - beginMs) * 1e6 };
}

/** One iteration; returns how many reads it was. */
async function iterate() {
  let reads = 0;
  for (const positions of groups) {
    const bytes = isBatched ? await reader.batch(positions, buffers) : await reader.sequence(positions, buffers[0]);
    if (bytes !== positions.length * BLOCK) throw new Error(`read ${bytes} bytes of ${positions.length} blocks`);
    reads += positions.length;
  }
  return reads;
}
