/** The boundary example: an app of node:http that fans out to Ringloom's shards with a deadline. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { portSharing } from "../../src/runtime/listeners.js";

const APP = fileURLToPath(new URL("../../../examples/boundary/app.js", import.meta.url));
const SHARDS = portSharing().isPossible ? 2 : 1;

async function listening(child: ChildProcess): Promise<string> {
  let output = "";
  for await (const chunk of child.stdout ?? []) {
    output += String(chunk);
    const found = /(http:\S+)\/quotes/.exec(output);
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Error(`the app did not start: ${output}`);
}

test("the boundary example answers from all shards, says what was too late, and stops", async () => {
  const child = spawn(process.execPath, [APP], {
    env: { ...process.env, PORT: "0", RINGLOOM_SHARDS: String(SHARDS) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  try {
    const url = await listening(child);
    const response = await fetch(`${url}/quotes?item=apple&within=10000`);
    assert.equal(response.status, 200);
    const quotes = Array.from({ length: SHARDS }, (_, shard) => ({ shard, item: "apple", price: 5 }));
    assert.deepEqual(await response.json(), { quotes, missed: [] });
    const late = await fetch(`${url}/quotes?item=slow&within=50`);
    assert.equal(late.status, 504);
    assert.deepEqual(await late.json(), { quotes: [], missed: Array(SHARDS).fill("ERR_RINGLOOM_TIMEOUT") });
    assert.equal((await fetch(`${url}/quotes?within=no`)).status, 400);
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
  } finally {
    child.kill("SIGKILL");
  }
});
