/** Entries of the caller's own making. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { unsafeSubmit } from "../../src/index.js";
import { requireNative } from "../../src/native.js";
import { closeThreadDriver, configureThreadDriver, threadDriver } from "../../src/runtime/thread-driver.js";
import { driversUnderTest } from "../support/drivers.js";
import { describeOverDrivers } from "../support/file-drivers.js";
import { within } from "../support/signal.js";

const IORING_OP_NOP = 0;
const IORING_OP_POLL_ADD = 6;
const IORING_OP_WRITE = 23;
const IORING_OP_URING_CMD = 46;
const SOCKET_URING_OP_GETSOCKOPT = 2;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_STREAM = 1;
const AF_INET = 2;
const SKIP_SUCCESS = 1 << 6;
const POLL_MULTI = 1;
const POLLIN = 1;
const { ECANCELED, EINVAL, EOPNOTSUPP } = constants.errno;

const uring = driversUnderTest.find(({ name }) => name === "uring");
describe("unsafeSubmit()", { skip: uring?.skip ?? "another driver was asked for", timeout: 60_000 }, () => {
  before(() => configureThreadDriver({ name: "uring" }));
  after(() => closeThreadDriver());

  const entryOf = (words: Readonly<Record<number, number>>): Int32Array => {
    const entry = new Int32Array(16);
    for (const [word, value] of Object.entries(words)) entry[Number(word)] = value;
    return entry;
  };

  test("runs any opcode, and resolves with what the kernel answered", async () => {
    assert.deepEqual(await unsafeSubmit({ entry: entryOf({ 0: IORING_OP_NOP }) }), { result: 0, flags: 0 });
    assert.equal((await unsafeSubmit({ entry: entryOf({ 0: 255 }) })).result, -EINVAL);
  });

  test("keeps buffers where they are, also when nobody else does", async () => {
    const path = join(tmpdir(), `ringloom-unsafe-${process.pid}`);
    const fd = fs.openSync(path, "w+");
    const attempt = unsafeSubmit({
      entry: entryOf({ 0: IORING_OP_WRITE, 1: fd, 6: 5, 8: -1, 9: -1 }),
      buffers: [{ word: 4, bytes: Buffer.from("hello") }],
    });
    assert.equal((await within("a completion", attempt)).result, 5);
    assert.equal(fs.readFileSync(path, "utf8"), "hello");
    fs.closeSync(fd);
    fs.unlinkSync(path);
  });

  test("speaks IORING_OP_URING_CMD, with an address in the command", async (context) => {
    const native = requireNative();
    const fd = native.openSocket(AF_INET, 1);
    const bytes = new Uint8Array(4);
    const entry = entryOf({
      0: IORING_OP_URING_CMD,
      1: fd,
      2: SOCKET_URING_OP_GETSOCKOPT,
      4: SOL_SOCKET,
      5: SO_TYPE,
      11: 4,
    });
    const { result } = await unsafeSubmit({ entry, buffers: [{ word: 12, bytes }] });
    native.closeDescriptor(fd);
    if (result === -EOPNOTSUPP || result === -EINVAL) return context.skip("this kernel has no commands for sockets");
    assert.equal(result, 4);
    assert.equal(new DataView(bytes.buffer).getInt32(0, true), SOCK_STREAM);
  });

  test("tells of each completion of a multishot operation, until it is cancelled", async () => {
    const native = requireNative();
    const fd = native.eventDescriptor();
    const controller = new AbortController();
    const results: number[] = [];
    const storage = new AsyncLocalStorage<string>();
    const stores = new Set<string | undefined>();
    const attempt = storage.run("caller", () =>
      unsafeSubmit(
        { entry: entryOf({ 0: IORING_OP_POLL_ADD, 1: fd, 6: POLL_MULTI, 7: POLLIN }) },
        {
          signal: controller.signal,
          onCompletion: ({ result }) => {
            results.push(result);
            stores.add(storage.getStore());
            if (results.length === 3) controller.abort();
            else native.signalEvent(fd);
          },
        },
      ),
    );
    native.signalEvent(fd);
    assert.equal((await within("the last completion", attempt)).result, -ECANCELED);
    assert.deepEqual(results, [POLLIN, POLLIN, POLLIN]);
    assert.deepEqual(stores, new Set(["caller"]));
    assert.equal(threadDriver().driver.operations.pendingNow, 0);
    native.closeDescriptor(fd);
  });

  test("refuses what is no entry, before anything is submitted", async () => {
    const entry = entryOf({});
    await assert.rejects(unsafeSubmit({ entry: new Int32Array(32) }), RangeError);
    await assert.rejects(unsafeSubmit({ entry: [] as unknown as Int32Array }), TypeError);
    await assert.rejects(unsafeSubmit({ entry: entryOf({ 0: SKIP_SUCCESS << 8 }) }), RangeError);
    for (const word of [0, 1, 7, 8, 9, 15, 2.5])
      await assert.rejects(unsafeSubmit({ entry, buffers: [{ word, bytes: new Uint8Array(1) }] }), RangeError);
    await assert.rejects(unsafeSubmit({ entry }, { signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
    assert.equal(threadDriver().driver.operations.pendingNow, 0);
  });
});

describeOverDrivers("unsafeSubmit() without a ring", (driver) => {
  test("is ERR_RINGLOOM_UNSUPPORTED", { skip: driver === "uring" && "it has a ring" }, async () => {
    await assert.rejects(unsafeSubmit({ entry: new Int32Array(16) }), { code: "ERR_RINGLOOM_UNSUPPORTED" });
  });
});
