import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { configureLog, logSettings } from "../observe/log.js";
import { CacheDesk } from "./cache-desk.js";
import { checkCacheOptions } from "./cache-size.js";
import { SpareMemory } from "./spare-memory.js";
import { StructureDesk } from "./structure-desk.js";

const MIB = 2 ** 20;

test("SpareMemory.take() counts everything that is shared by a name, channels as well as caches", () => {
  const spare = new SpareMemory();
  const taken: number[] = [];
  spare.take = (bytes) => void taken.push(bytes);
  const shape = { base: 0, threads: 4, capacity: 15, cells: 16 };
  const { port1, port2 } = new MessageChannel();
  new StructureDesk(spare).accept(port2, {
    name: "channel",
    structure: { kind: "ring", shape, extraBytes: MIB },
    bell: new Int32Array(new SharedArrayBuffer(4)),
  });
  port1.close();
  assert.equal(taken.length, 1);
  assert.ok((taken[0] ?? 0) > MIB, "its cells are counted");
});

test("CacheDesk.accept() tells the operator when caches may take more than there is to spare", () => {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-caches-"));
  const fd = openSync(join(folder, "log"), "a");
  const before = logSettings();
  configureLog({ format: "json", fd, level: "info" });
  try {
    const spare = new SpareMemory();
    spare.bytesMax = 3 * MIB;
    const desk = new CacheDesk(spare);
    const written = (): string => readFileSync(join(folder, "log"), "utf8");
    for (const name of ["first", "second"]) {
      const { port1, port2 } = new MessageChannel();
      const bounds = checkCacheOptions(name, { maxBytes: 2 * MIB });
      assert.equal(written(), "", `before ${name}`);
      desk.accept(port2, { name, bounds, bell: new Int32Array(new SharedArrayBuffer(4)) });
      const answer: unknown = receiveMessageOnPort(port1)?.message;
      assert.ok(typeof answer === "object" && answer !== null && "memory" in answer, "it is opened all the same");
      port1.close();
    }
    const { level, cache, sharedMib, spareMib } = JSON.parse(written());
    assert.deepEqual(
      { level, cache, sharedMib, spareMib },
      { level: "warn", cache: "second", sharedMib: 5, spareMib: 3 },
    );
  } finally {
    configureLog(before);
    closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  }
});
