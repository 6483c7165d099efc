/**
 * `du` over several cores of the disk: directories are read and files looked at many at a time, a bounded number of each.
 *
 *     node examples/du/du.js [--apparent] [--depth N] [--jobs N] [folder]
 *
 * Prints what each directory takes, largest first, down to the depth (1 unless told otherwise). A file with several names counts once, links are not followed, and what cannot be read is told of and left out.
 * For the sum alone there is `diskUsage` of `ringloom/fs`.
 */
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { stat, walk } from "ringloom/fs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    apparent: { type: "boolean", default: false },
    depth: { type: "string", default: "1" },
    jobs: { type: "string", default: "32" },
  },
});
const root = resolve(positionals[0] ?? ".");
const depth = wholeNumber("depth", 0);
const jobs = wholeNumber("jobs", 1);
/** What each printed directory takes, in bytes. */
const totals = new Map([[root, 0]]);
/** Files with several names that were counted. */
const seen = new Set();

try {
  await countTree();
  print();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

async function countTree() {
  add(root, await stat(root, { followLinks: false }));
  // `jobs` loops share one walk: each takes the next entry when it is done with its own.
  const entries = walk(root, { concurrency: Math.ceil(jobs / 4), onError: complain });
  const work = async () => {
    for (let next = await entries.next(); next.done !== true; next = await entries.next()) await count(next.value);
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

async function count(entry) {
  if (entry.type === "directory" && entry.depth < depth) totals.set(entry.path, totals.get(entry.path) ?? 0);
  try {
    add(entry.path, await stat(entry.path, { followLinks: false }));
  } catch (error) {
    complain(error);
  }
}

/** Adds a file to each printed directory that it is in. */
function add(path, { type, links, device, inode, size, allocatedBytes }) {
  const identity = `${device}:${inode}`;
  if (type !== "directory" && links > 1) {
    if (seen.has(identity)) return;
    seen.add(identity);
  }
  const bytes = !values.apparent ? allocatedBytes : type === "directory" ? 0 : size;
  for (let above = path; ; above = dirname(above)) {
    const total = totals.get(above);
    if (total !== undefined) totals.set(above, total + bytes);
    if (above === root || above === dirname(above)) return;
  }
}

function print() {
  const rows = [...totals].sort(([, a], [, b]) => b - a);
  for (const [path, bytes] of rows) console.log(`${String(Math.ceil(bytes / 1024)).padStart(10)} KiB  ${path}`);
}

function complain(error) {
  console.error(error.message);
  process.exitCode = 1;
}

function wholeNumber(name, least) {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= least && number <= 1_024) return number;
  console.error(`--${name} must be a whole number from ${least} to 1024`);
  process.exit(2);
}
