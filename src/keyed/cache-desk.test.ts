import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { configureLog, logSettings } from "../observe/log.js";
import { CacheDesk } from "./cache-desk.js";
import { checkCacheOptions } from "./cache-size.js";

const MIB = 2 ** 20;

test("CacheDesk.accept() tells the operator when caches may take more than there is to spare", () => {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-caches-"));
  const fd = openSync(join(folder, "log"), "a");
  const before = logSettings();
  configureLog({ format: "json", fd, level: "info" });
  try {
    const desk = new CacheDesk({ spareBytes: 3 * MIB });
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
    const { level, cache, cachesMib, spareMib } = JSON.parse(written());
    assert.deepEqual(
      { level, cache, cachesMib, spareMib },
      { level: "warn", cache: "second", cachesMib: 5, spareMib: 3 },
    );
  } finally {
    configureLog(before);
    closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  }
});
