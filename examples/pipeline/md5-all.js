#!/usr/bin/env node
// The bounded pipeline of the Go blog ("Go Concurrency Patterns: Pipelines and cancellation"), with ringloom/sync: the MD5 sums of all files below a folder, by a fixed number of digesters.
//
//     node examples/pipeline/md5-all.js FOLDER
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { channel, withGroup } from "ringloom/sync";

const DIGESTERS = 20;

/**
 * The MD5 sums of all files below a folder, by path. The first error stops everything, and is what it rejects with.
 *
 * @param {string} folder
 * @param {AbortSignal} [signal]
 * @returns {Promise<Map<string, string>>}
 */
export async function md5All(folder, signal) {
  const paths = channel(0);
  const sums = channel(0);
  const found = new Map();
  await withGroup(
    (all) => {
      all.spawn((signal) => walkFiles(folder, paths, signal));
      all.spawn(async (signal) => {
        // Go's WaitGroup: when all digesters have ended, so have the sums.
        await withGroup((digesters) => startDigesters(digesters, { paths, sums }), { signal });
        sums.close();
      });
      all.spawn(async (signal) => {
        for await (const { path, sum } of sums.values({ signal })) found.set(path, sum);
      });
    },
    signal === undefined ? {} : { signal },
  );
  return found;
}

/** Sends the path of each file, and closes the channel after the last. */
async function walkFiles(folder, paths, signal) {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await paths.send(join(entry.parentPath ?? entry.path, entry.name), { signal });
  }
  paths.close();
}

function startDigesters(digesters, { paths, sums }) {
  for (let n = 0; n < DIGESTERS; n++) {
    digesters.spawn(async (signal) => {
      for await (const path of paths.values({ signal })) {
        const bytes = await readFile(path, { signal });
        await sums.send({ path, sum: createHash("md5").update(bytes).digest("hex") }, { signal });
      }
    });
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const sums = await md5All(process.argv[2] ?? ".");
  for (const [path, sum] of [...sums].sort()) console.log(`${sum}  ${path}`);
}
