/** Open files: what they read and write, what they refuse, and how they end. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { INLINE_READ_BYTES_MAX } from "../../src/constants.js";
import { type File, type OpenOptions, open } from "../../src/fs/index.js";
import { loadNative } from "../../src/native.js";
import { threadDriver } from "../../src/runtime/thread-driver.js";
import { describeOverDrivers } from "../support/file-drivers.js";
import { within } from "../support/signal.js";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (data: Uint8Array): string => Buffer.from(data).toString();

describeOverDrivers("File", (driver) => {
  let folder = "";
  before(() => {
    folder = fs.mkdtempSync(join(tmpdir(), "ringloom-fs-"));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  let count = 0;
  const newPath = (contents?: string | Uint8Array): string => {
    const path = join(folder, `file-${count++}`);
    if (contents !== undefined) fs.writeFileSync(path, contents);
    return path;
  };

  async function opened<T>(path: string, options: OpenOptions, body: (file: File) => Promise<T>): Promise<T> {
    const file = await open(path, options);
    try {
      return await body(file);
    } finally {
      await file.close();
    }
  }

  test("read() and write() go on where the last one ended, in the order of the calls", async () => {
    const path = newPath();
    await opened(path, { read: true, write: true, create: true }, async (file) => {
      await Promise.all([file.write("one "), file.write(bytes("two ")), file.writeVector([bytes("th"), bytes("ree")])]);
      assert.equal(fs.readFileSync(path, "utf8"), "one two three");
      await file.write("1", { position: 1 });
      await file.writeAt("2", 5);
      assert.equal(await file.read(new Uint8Array(4)), 0);
      const buffer = new Uint8Array(3);
      assert.equal(await file.read(buffer, { position: 1 }), 3);
      assert.equal(text(buffer), "1e ");
    });
    await opened(path, {}, async (file) => {
      const buffers = [1, 2, 3, 4].map((length) => new Uint8Array(length));
      const counts = await Promise.all(buffers.map((buffer) => file.read(buffer)));
      assert.deepEqual(counts, [1, 2, 3, 4]);
      assert.deepEqual(buffers.map(text), ["o", "1e", " t2", "o th"]);
      assert.equal(text(await file.readToEnd()), "ree");
      assert.equal((await file.readToEnd()).length, 0);
    });
  });

  test("readAt() is short only at the end of the file", async () => {
    const whole = Buffer.alloc(300_000, "0123456789");
    await opened(newPath(whole), {}, async (file) => {
      const buffer = new Uint8Array(4096);
      for (let position = 0; position < whole.length; position += 4096) {
        const expected = whole.subarray(position, position + 4096);
        assert.equal(await file.readAt(buffer, position), expected.length);
        assert.deepEqual(Buffer.from(buffer.subarray(0, expected.length)), expected);
      }
      assert.equal(await file.readAt(buffer, whole.length), 0);
      assert.equal(await file.readAt(buffer, 10 * whole.length), 0);
      assert.equal(await file.readAt(new Uint8Array(0), 0), 0);
      const large = new Uint8Array(INLINE_READ_BYTES_MAX + 1);
      assert.equal(await file.readAt(large, 5), whole.length - 5);
      assert.deepEqual(Buffer.from(large.subarray(0, whole.length - 5)), whole.subarray(5));
      const parts = [new Uint8Array(10), new Uint8Array(299_985), new Uint8Array(100)];
      assert.equal(await file.readVector(parts, { position: 3 }), whole.length - 3);
      assert.deepEqual(Buffer.concat(parts).subarray(0, whole.length - 3), whole.subarray(3));
    });
  });

  test("reads from the page cache leave the event loop its turns", async () => {
    await opened(newPath(Buffer.alloc(4096)), {}, async (file) => {
      let isDone = false;
      setTimeout(() => {
        isDone = true;
      }, 1);
      const buffer = new Uint8Array(4096);
      let reads = 0;
      // Reads that complete inside their calls are microtasks: without the allowance the timer would never fire.
      while (!isDone && reads < 1_000_000) {
        await file.readAt(buffer, 0);
        reads += 1;
      }
      assert.equal(isDone, true);
    });
  });

  test("writeVector() and readVector() take more buffers than one call of the kernel", async () => {
    const path = newPath();
    await opened(path, { read: true, write: true, create: true }, async (file) => {
      const parts = Array.from({ length: 2_500 }, (_, index) => bytes(`${index},`));
      await file.writeVector(parts);
      assert.equal(fs.readFileSync(path, "utf8"), parts.map(text).join(""));
      const back = parts.map((part) => new Uint8Array(part.length));
      assert.equal(await file.readVector(back, { position: 0 }), fs.statSync(path).size);
      assert.deepEqual(back.map(text), parts.map(text));
    });
  });

  test("append() writes to the end, wherever that is", async () => {
    const path = newPath("begin");
    await opened(path, { append: true }, async (file) => {
      await file.append(" one");
      fs.appendFileSync(path, " other");
      await file.append(bytes(" two"));
      await assert.rejects(file.readAt(new Uint8Array(1), 0), { code: "EBADF", operation: "read" });
    });
    assert.equal(fs.readFileSync(path, "utf8"), "begin one other two");
    await opened(path, { read: true, append: true }, async (file) => {
      const buffer = new Uint8Array(5);
      await file.read(buffer);
      await file.write(" three");
      assert.equal(await file.read(buffer), 5);
      assert.equal(text(buffer), " one ");
      await assert.rejects(file.writeAt("x", 0), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    });
    assert.equal(fs.readFileSync(path, "utf8"), "begin one other two three");
    await opened(path, { write: true }, (file) =>
      assert.rejects(file.append("x"), { code: "ERR_RINGLOOM_INVALID_OPTION" }),
    );
  });

  test("truncate(), allocate(), sync(), datasync() and stat() work", async () => {
    const path = newPath("0123456789");
    await opened(path, { read: true, write: true }, async (file) => {
      await file.truncate(4);
      assert.equal(fs.readFileSync(path, "utf8"), "0123");
      await file.allocate(0, 100_000);
      await file.sync();
      await file.datasync();
      const stat = await file.stat();
      assert.equal(stat.type, "file");
      assert.equal(stat.size, 100_000);
      assert.ok(stat.allocatedBytes >= 100_000);
      await file.truncate();
      assert.equal((await file.stat()).size, 0);
      await assert.rejects(file.truncate(-1), RangeError);
    });
  });

  test("readToEnd() and chunks() take the rest of a file, and of one without a length", async () => {
    const whole = Buffer.alloc(150_000, "abcdefghijk");
    await opened(newPath(whole), {}, async (file) => {
      await file.read(new Uint8Array(10));
      assert.deepEqual(Buffer.from(await file.readToEnd()), whole.subarray(10));
    });
    await opened(newPath(whole), {}, async (file) => {
      const sizes: number[] = [];
      for await (const chunk of file.chunks({ chunkBytes: 65_536 })) sizes.push(chunk.length);
      assert.deepEqual(sizes, [65_536, 65_536, 18_928]);
    });
    await opened(newPath(whole), {}, (file) =>
      assert.rejects(file.readToEnd({ bytesMax: 149_999 }), { code: "EFBIG", operation: "read" }),
    );
    await opened(newPath(whole), {}, async (file) =>
      assert.equal((await file.readToEnd({ bytesMax: 150_000 })).length, 150_000),
    );
    // The kernel says that it has no length.
    await opened("/proc/self/status", {}, async (file) => {
      assert.match(text(await file.readToEnd()), /^Name:.*\n/);
    });
  });

  test("a pipe is read as it comes, without positions", { skip: process.platform === "win32" }, async () => {
    const path = newPath();
    execFileSync("mkfifo", [path]);
    await opened(path, { read: true, write: true }, async (file) => {
      const buffer = new Uint8Array(16);
      fs.writeFileSync(path, "hello");
      assert.equal(await file.read(buffer), 5);
      await file.write("again");
      assert.equal(await file.read(buffer), 5);
      assert.equal(text(buffer.subarray(0, 5)), "again");
    });
  });

  test("a pipe that is read and written does neither after the other, and who waits for a turn is given up", {
    skip: process.platform === "win32",
  }, async () => {
    const path = newPath();
    execFileSync("mkfifo", [path]);
    for (const isReadFirst of [true, false]) {
      await opened(path, { read: true, write: true }, async (file) => {
        if (!isReadFirst) {
          await file.write("abc");
          assert.equal(await file.read(new Uint8Array(3)), 3);
        }
        const buffers = [new Uint8Array(3), new Uint8Array(3)] as const;
        const first = file.read(buffers[0]);
        await assert.rejects(within("a deadline", file.read(new Uint8Array(3), { timeoutMs: 5 })), {
          code: "ERR_RINGLOOM_TIMEOUT",
          operation: "read",
        });
        const controller = new AbortController();
        const aborted = file.readToEnd({ signal: controller.signal });
        const second = file.read(buffers[1]);
        controller.abort();
        await assert.rejects(within("a signal", aborted), { code: "ERR_RINGLOOM_ABORTED" });
        await within("a write beside a read", file.write("one", { timeoutMs: 60_000 }));
        assert.equal(await within("the first read", first), 3);
        await file.writeVector([bytes("t"), bytes("wo")]);
        assert.equal(await within("the second read", second), 3);
        assert.deepEqual(buffers.map(text), ["one", "two"]);
      });
    }
  });

  test("reads and writes of a file with positions share one order", async () => {
    await opened(newPath("0123456789"), { read: true, write: true }, async (file) => {
      const [before, after] = [new Uint8Array(2), new Uint8Array(3)];
      await Promise.all([file.read(before), file.write("ab"), file.read(after)]);
      assert.deepEqual([before, after].map(text), ["01", "456"]);
    });
  });

  test("open() refuses combinations that make no sense", async () => {
    const path = newPath("x");
    const senseless: Record<string, OpenOptions> = {
      "neither read, write nor append": { read: false },
      "append and write": { append: true, write: true },
      "append and truncate": { append: true, truncate: true },
      "truncate needs write": { truncate: true },
      "need write or append": { create: true },
      "create and createNew": { write: true, create: true, createNew: true },
      "createNew and truncate": { write: true, createNew: true, truncate: true },
      "mode needs": { write: true, mode: 0o600 },
      "mode 4096": { write: true, create: true, mode: 4096 },
      "directory can only be read": { write: true, directory: true },
      "durable needs": { durable: "all" },
      "durable is neither": { write: true, durable: "some" as "all" },
      "no option writ": { writ: true } as OpenOptions,
    };
    for (const [message, options] of Object.entries(senseless))
      await assert.rejects(open(path, options), { code: "ERR_RINGLOOM_INVALID_OPTION", message: new RegExp(message) });
    assert.equal(fs.readFileSync(path, "utf8"), "x");
  });

  test("open() passes on what the kernel says, with the path", async () => {
    const path = newPath();
    await assert.rejects(open(path), {
      code: "ENOENT",
      operation: "open",
      details: { path },
      message: new RegExp(path),
    });
    fs.writeFileSync(path, "x");
    await assert.rejects(open(path, { write: true, createNew: true }), { code: "EEXIST" });
    await assert.rejects(open(path, { directory: true }), { code: "ENOTDIR" });
    await assert.rejects(open(folder, { write: true }), { code: "EISDIR" });
    fs.symlinkSync(path, `${path}-link`);
    await assert.rejects(open(`${path}-link`, { noFollow: true }), { code: "ELOOP" });
    await assert.rejects(open("a\0b"), TypeError);
    await assert.rejects(open(7 as unknown as string), TypeError);
    await opened(`${path}-link`, {}, async (file) => assert.equal(text(await file.readToEnd()), "x"));
    await assert.rejects(open("", {}), { code: "ENOENT" });
  });

  test("open() takes URLs, bytes, and permission bits", async () => {
    const path = newPath();
    await opened(path, { write: true, createNew: true, mode: 0o600 }, async () => {});
    assert.equal(fs.statSync(path).mode & 0o777, 0o600);
    const url = new URL(`file://${path}`);
    await (await open(url)).close();
    await (await open(Buffer.from(path))).close();
    await opened(path, { write: true, durable: "data" }, (file) => file.write("x"));
  });

  test("close() twice is one, waits for what runs, and ends what comes later", async () => {
    const path = newPath();
    const file = await open(path, { write: true, create: true });
    const written = file.write(Buffer.alloc(500_000, "x"));
    const closed = file.close();
    await Promise.all([written, closed, file.close()]);
    await file[Symbol.asyncDispose]();
    assert.equal(fs.statSync(path).size, 500_000);
    const closedError = { code: "ERR_RINGLOOM_CLOSED", message: /is closed/ };
    await assert.rejects(file.write("x"), closedError);
    await assert.rejects(file.readAt(new Uint8Array(1), 0), closedError);
    await assert.rejects(file.read(new Uint8Array(1)), closedError);
    await assert.rejects(file.stat(), closedError);
    await assert.rejects(file.sync(), closedError);
    await assert.rejects(file.lock(), closedError);
    assert.throws(() => file.descriptor, closedError);
    assert.throws(() => file.tryLock(), closedError);
    file.unlock();
  });

  test("a file closed in the midst of its reads never reads from another one", async () => {
    const whole = Buffer.alloc(2_000_000, "a");
    const path = newPath(whole);
    const other = newPath(Buffer.alloc(2_000_000, "b"));
    for (let round = 0; round < 10; round++) {
      const file = await open(path);
      const buffers = Array.from({ length: 20 }, () => new Uint8Array(INLINE_READ_BYTES_MAX + 1));
      const reads = buffers.map((buffer) => file.readAt(buffer, 0).catch(() => 0));
      const closed = file.close();
      const next = await open(other);
      const counts = await Promise.all(reads);
      await closed;
      await next.close();
      for (const [index, read] of counts.entries())
        assert.equal(buffers[index]?.subarray(0, read).includes(0x62), false);
    }
  });

  test("bad arguments are refused, and nothing is left behind", async () => {
    await opened(newPath("0123456789"), { read: true, write: true }, async (file) => {
      const buffer = new Uint8Array(4);
      for (const position of [-1, 1.5, Number.NaN, 2 ** 53])
        await assert.rejects(file.readAt(buffer, position), RangeError);
      await assert.rejects(file.writeAt("x", -1), RangeError);
      await assert.rejects(file.readAt("text" as unknown as Uint8Array, 0), TypeError);
      await assert.rejects(file.readAt(undefined as unknown as Uint8Array, 0), TypeError);
      await assert.rejects(file.write(7 as unknown as string), TypeError);
      await assert.rejects(file.readVector([buffer, {} as Uint8Array], { position: 0 }), TypeError);
      await assert.rejects(file.sync({ timeoutMs: -1 }), RangeError);
    });
    assert.equal(threadDriver().driver.operations.pendingNow, 0);
  });

  test("a signal that is aborted before the call gives it up, with its reason as the cause", async () => {
    const path = newPath("x");
    const reason = new Error("enough");
    const given = { code: "ERR_RINGLOOM_ABORTED", cause: reason };
    const signal = AbortSignal.abort(reason);
    await assert.rejects(open(path, { signal }), { ...given, operation: "open" });
    await opened(path, { read: true, write: true }, async (file) => {
      await assert.rejects(file.readAt(new Uint8Array(1), 0, { signal }), { ...given, operation: "read" });
      await assert.rejects(file.write("y", { signal }), given);
      await assert.rejects(file.sync({ signal }), given);
      await assert.rejects(file.stat({ signal }), given);
      await assert.rejects(file.lock({ signal }), given);
    });
    assert.equal(fs.readFileSync(path, "utf8"), "x");
  });

  test("memory that threads share is read into and written from", async () => {
    await opened(newPath("0123456789"), { read: true, write: true }, async (file) => {
      const memory = new Uint8Array(new SharedArrayBuffer(16), 3, 8);
      const [cached, rest] = [memory.subarray(0, 4), memory.subarray(4)];
      assert.equal(await file.readAt(cached, 0), 4);
      assert.equal(await file.readVector([rest], { position: 5 }), 4);
      assert.equal(text(Uint8Array.from(memory)), "01235678");
      await file.writeAt(memory, 2);
      assert.equal(text(await file.readToEnd()), "0101235678");
    });
  });

  test("a deadline holds for all parts of a call together", async () => {
    const path = newPath(Buffer.alloc(20_000_000));
    await opened(path, {}, async (file) => {
      const started = performance.now();
      // Each piece comes from the page cache, sooner than any timer could fire.
      const reading = (async () => {
        while (performance.now() - started < 20_000) await file.readToEnd({ timeoutMs: 0.5 });
      })();
      await assert.rejects(reading, { code: "ERR_RINGLOOM_TIMEOUT" });
    });
  });

  test("a signal and a deadline that come to nothing change nothing", async () => {
    await opened(newPath("0123456789"), { signal: new AbortController().signal, timeoutMs: 60_000 }, async (file) => {
      const options = { signal: new AbortController().signal, timeoutMs: 60_000 };
      assert.equal(await file.readAt(new Uint8Array(4), 8, options), 2);
      assert.equal((await file.readToEnd(options)).length, 10);
    });
  });

  test("open() that is given up closes the descriptor that still comes", async () => {
    const path = newPath("x");
    const before = descriptors(path);
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const attempt = open(path, { signal: controller.signal });
      controller.abort();
      await assert.rejects(attempt, { code: "ERR_RINGLOOM_ABORTED" });
    }
    await within(
      "all late descriptors to be closed",
      untilSo(() => descriptors(path) === before),
    );
    await within(
      "no operation to be left",
      untilSo(() => threadDriver().driver.operations.pendingNow === 0),
    );
  });

  test("a read that waits is given up by signal, deadline and close", {
    skip: driver !== "uring" && "only a ring can",
  }, async () => {
    const path = newPath();
    execFileSync("mkfifo", [path]);
    const file = await open(path, { read: true, write: true });
    const buffer = new Uint8Array(4);
    const controller = new AbortController();
    const read = file.read(buffer, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await assert.rejects(within("a read to be given up", read), { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(within("a deadline", file.read(buffer, { timeoutMs: 5 })), { code: "ERR_RINGLOOM_TIMEOUT" });
    const last = assert.rejects(file.read(buffer), { code: "ERR_RINGLOOM_CLOSED" });
    setImmediate(() => file.close());
    await within("a close to end a read", last);
    // The kernel has let go of the buffer: what comes later is not written to it.
    await file.close();
    assert.deepEqual(buffer, new Uint8Array(4));
  });

  test("locks exclude each other, also in one process", {
    skip: loadNative() === undefined && "no addon",
  }, async () => {
    const path = newPath("x");
    const [one, two] = [await open(path), await open(path)];
    await one.lock();
    assert.equal(two.tryLock(), false);
    assert.equal(two.tryLock({ shared: true }), false);
    await assert.rejects(two.lock({ timeoutMs: 20 }), { code: "ERR_RINGLOOM_TIMEOUT", operation: "lock" });
    const controller = new AbortController();
    const waiting = two.lock({ signal: controller.signal });
    controller.abort();
    await assert.rejects(waiting, { code: "ERR_RINGLOOM_ABORTED" });
    const next = two.lock();
    one.unlock();
    one.unlock();
    await within("the lock", next);
    assert.equal(one.tryLock(), false);
    two.unlock();
    assert.equal(one.tryLock({ shared: true }), true);
    assert.equal(two.tryLock({ shared: true }), true);
    await one.close();
    assert.equal(two.tryLock(), true);
    const [three] = [await open(path)];
    const refused = assert.rejects(three.lock(), { code: "ERR_RINGLOOM_CLOSED" });
    await three.close();
    await refused;
    await two.close();
  });
});

async function untilSo(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** How many descriptors of this process are open on a file. */
function descriptors(path: string): number {
  if (process.platform !== "linux") return 0;
  const names = fs.readdirSync("/proc/self/fd").map((name) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return "";
    }
  });
  return names.filter((name) => name === path).length;
}
