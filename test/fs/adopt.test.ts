/** Open files that change hands: released by one, adopted by another, also of another thread. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Worker } from "node:worker_threads";
import { adoptFile, open } from "../../src/fs/index.js";
import { describeOverDrivers } from "../support/file-drivers.js";
import { within } from "../support/signal.js";

const MODULE = new URL("../../src/fs/index.js", import.meta.url).href;

describeOverDrivers("File.release() and adoptFile()", () => {
  let path = "";
  before(() => {
    path = join(fs.mkdtempSync(join(tmpdir(), "ringloom-adopt-")), "file");
    fs.writeFileSync(path, "contents");
  });
  after(() => fs.rmSync(join(path, ".."), { recursive: true }));

  test("hand a file over with its descriptor, and leave nothing behind that could close it", async () => {
    const opened = await open(path, { read: true, write: true });
    const { descriptor } = opened;
    await opened.read(new Uint8Array(3));
    assert.equal(opened.release(), descriptor);
    await assert.rejects(opened.readAt(new Uint8Array(1), 0), { code: "ERR_RINGLOOM_CLOSED" });
    assert.throws(() => opened.release(), { code: "ERR_RINGLOOM_CLOSED" });
    assert.throws(() => opened.descriptor, { code: "ERR_RINGLOOM_CLOSED" });
    await opened.close();
    fs.fstatSync(descriptor);

    const file = adoptFile(descriptor, { read: true, write: true });
    assert.equal(file.descriptor, descriptor);
    await file.writeAt("C", 0);
    assert.equal(Buffer.from(await file.readToEnd()).toString(), "Contents");
    await file.close();
    assert.throws(() => fs.fstatSync(descriptor), { code: "EBADF" });
  });

  test("refuse while a call has not ended, and what is no open descriptor", async () => {
    const opened = await open(path);
    // More than is read inside a call.
    const reading = opened.readVector([new Uint8Array(4), new Uint8Array(4)]);
    assert.throws(() => opened.release(), { code: "ERR_RINGLOOM_BUSY" });
    await reading;
    const descriptor = opened.release();
    assert.throws(() => adoptFile(descriptor, { create: true } as never), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => adoptFile(descriptor, { write: true, append: true }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    fs.fstatSync(descriptor);
    const file = adoptFile(descriptor, { write: true });
    await assert.rejects(file.writeAt("x", 0), { code: "EBADF" });
    await file.close();
    assert.throws(() => adoptFile(descriptor), { code: "EBADF" });
    assert.throws(() => adoptFile(-1), RangeError);
    assert.throws(() => adoptFile("3" as never), RangeError);
  });

  test("take a file to another thread", async () => {
    const opened = await open(path, { append: true });
    const descriptor = opened.release();
    const program = `
      import { parentPort } from "node:worker_threads";
      import { adoptFile } from ${JSON.stringify(MODULE)};
      const file = adoptFile(${descriptor}, { append: true });
      await file.append(", more");
      await file.close();
      parentPort.postMessage("closed");
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
    const ended = new Promise((resolve, reject) => {
      worker.once("exit", resolve);
      worker.once("error", reject);
    });
    await within("the thread to end", ended);
    assert.match(fs.readFileSync(path, "utf8"), /, more$/);
    assert.throws(() => fs.fstatSync(descriptor), { code: "EBADF" });
  });
});
