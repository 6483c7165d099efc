/** The contract suite, part 5b: one-shot operations on files and their names. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { VECTOR_BUFFERS_MAX } from "../../src/constants.js";
import { CURRENT_POSITION, type OperationDone, type Operations, type PathRequest } from "../../src/driver/contract.js";
import type { FileStat } from "../../src/driver/file-stat.js";
import { driverVariants } from "../support/drivers.js";
import { within } from "../support/signal.js";
import { pattern, withRig } from "./rig.js";

const { EAGAIN, EBADF, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EOPNOTSUPP, ECANCELED } = constants.errno;
const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } = fs.constants;

for (const under of driverVariants) {
  describe(`Driver ${under.label}, files`, { skip: under.skip, timeout: 120_000 }, () => {
    test("path() opens, makes and removes, with the results of the system calls", async () => {
      await withFolder(under, async (operations, folder) => {
        const path = (request: PathRequest): Promise<number> => result((done) => operations.path(request, done));
        const file = join(folder, "file ü 文");
        assert.equal(await path({ call: "open", path: file, flags: O_RDONLY }), -ENOENT);
        const fd = await path({ call: "open", path: file, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o640 });
        assert.ok(fd > 2, `the descriptor is ${fd}`);
        assert.equal(fs.statSync(file).mode & 0o777, 0o640);
        assert.equal(await path({ call: "open", path: file, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o640 }), -EEXIST);
        assert.equal(await path({ call: "mkdir", path: file, mode: 0o755 }), -EEXIST);
        assert.equal(await path({ call: "mkdir", path: join(folder, "sub"), mode: 0o700 }), 0);
        assert.equal(fs.statSync(join(folder, "sub")).mode & 0o777, 0o700);
        assert.equal(await path({ call: "mkdir", path: join(file, "sub") }), -ENOTDIR);
        assert.equal(await path({ call: "link", path: file, to: join(folder, "sub/link") }), 0);
        assert.equal(await path({ call: "rmdir", path: join(folder, "sub") }), -ENOTEMPTY);
        assert.equal(await path({ call: "rename", path: join(folder, "sub/link"), to: join(folder, "name") }), 0);
        assert.equal(fs.statSync(join(folder, "name")).ino, fs.fstatSync(fd).ino);
        assert.equal(await path({ call: "symlink", path: "file ü 文", to: join(folder, "symbol") }), 0);
        assert.equal(fs.readlinkSync(join(folder, "symbol")), "file ü 文");
        assert.equal(await path({ call: "unlink", path: join(folder, "symbol") }), 0);
        assert.equal(await path({ call: "rmdir", path: join(folder, "sub") }), 0);
        assert.equal(await path({ call: "unlink", path: join(folder, "sub") }), -ENOENT);
        assert.equal(await path({ call: "open", path: folder, flags: O_WRONLY }), -EISDIR);
        assert.deepEqual(fs.readdirSync(folder).sort(), ["file ü 文", "name"].sort());
        assert.equal(await result((done) => operations.closeFile(fd, done)), 0);
        assert.equal(await result((done) => operations.closeFile(fd, done)), -EBADF);
      });
    });

    test("path() takes names that are no text, and names longer than a room", async () => {
      await withFolder(under, async (operations, folder) => {
        const bytes = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe, 0x61])]);
        const flags = O_WRONLY | O_CREAT;
        const fd = await result((done) => operations.path({ call: "open", path: bytes, flags, mode: 0o600 }, done));
        assert.ok(fd > 2);
        assert.equal(await result((done) => operations.closeFile(fd, done)), 0);
        const names = fs.readdirSync(folder, { encoding: "buffer" });
        assert.deepEqual(names, [bytes.subarray(folder.length + 1)]);
        let deep = folder;
        while (deep.length < 3_500) {
          deep = join(deep, "d".repeat(200));
          assert.equal(await result((done) => operations.path({ call: "mkdir", path: deep, mode: 0o700 }, done)), 0);
        }
        const to = join(folder, "moved");
        assert.equal(await result((done) => operations.path({ call: "rename", path: deep, to }, done)), 0);
        assert.ok(fs.statSync(to).isDirectory());
        const long = "/".concat("x".repeat(5_000));
        assert.equal(
          await result((done) => operations.path({ call: "unlink", path: long }, done)),
          -constants.errno.ENAMETOOLONG,
        );
      });
    });

    test("stat() tells the same as Node does, by name, by link and by descriptor", async () => {
      await withFolder(under, async (operations, folder) => {
        const file = join(folder, "file");
        fs.writeFileSync(file, "12345", { mode: 0o604 });
        fs.utimesSync(file, 1_000_000_000.25, 1_234_567_890.125);
        fs.symlinkSync("file", join(folder, "link"));
        const expected = fs.statSync(file, { bigint: true });
        const fd = fs.openSync(file, "r");
        for (const target of [file, join(folder, "link"), Buffer.from(file), fd]) {
          const { code, stat } = await statOf(operations, target, true);
          assert.equal(code, 0);
          assert.ok(stat !== undefined);
          assert.equal(stat.type, "file");
          assert.equal(stat.mode, 0o604);
          assert.equal(stat.size, 5);
          assert.equal(stat.allocatedBytes, Number(expected.blocks) * 512);
          assert.equal(stat.links, 1);
          assert.equal(stat.inode, expected.ino);
          assert.equal(stat.device, Number(expected.dev));
          assert.equal(stat.owner, Number(expected.uid));
          assert.equal(stat.group, Number(expected.gid));
          assert.equal(stat.blockBytes, Number(expected.blksize));
          assert.equal(stat.accessedMs, 1_000_000_000_250);
          assert.equal(stat.modifiedMs, 1_234_567_890_125);
          assert.ok(Math.abs(stat.changedMs - Number(expected.ctimeNs) / 1e6) < 0.01);
        }
        fs.closeSync(fd);
        assert.equal((await statOf(operations, join(folder, "link"), false)).stat?.type, "symlink");
        assert.equal((await statOf(operations, folder, true)).stat?.type, "directory");
        const device = (await statOf(operations, "/dev/null", true)).stat;
        assert.equal(device?.type, "character-device");
        assert.equal(device?.specialDevice, fs.statSync("/dev/null").rdev);
        fs.utimesSync(file, -1.5, -1.5);
        assert.equal((await statOf(operations, file, true)).stat?.modifiedMs, fs.statSync(file).mtimeMs);
        assert.deepEqual(await statOf(operations, join(folder, "missing"), true), { code: -ENOENT, stat: undefined });
        assert.deepEqual(await statOf(operations, 999_999, true), { code: -EBADF, stat: undefined });
      });
    });

    test("many stat() at once each get their own answer", async () => {
      await withFolder(under, async (operations, folder) => {
        const sizes = Array.from({ length: 400 }, (_, index) => index);
        for (const size of sizes) fs.writeFileSync(join(folder, String(size)), Buffer.alloc(size));
        const found = await Promise.all(sizes.map((size) => statOf(operations, join(folder, String(size)), true)));
        assert.deepEqual(
          found.map(({ stat }) => stat?.size),
          sizes,
        );
      });
    });

    test("readVector() and writeVector() go through the buffers in order", async () => {
      await withFolder(under, async (operations, folder) => {
        const fd = fs.openSync(join(folder, "file"), "w+");
        const whole = pattern(40, 0, 10_000);
        const parts = [whole.subarray(0, 1), whole.subarray(1, 7_000), new Uint8Array(0), whole.subarray(7_000)];
        assert.equal(await result((done) => operations.writeVector(fd, parts, 5, done)), 10_000);
        const back = [new Uint8Array(4_000), new Uint8Array(3), new Uint8Array(9_000)];
        assert.equal(await result((done) => operations.readVector(fd, back, 5, done)), 10_000);
        assert.deepEqual(Buffer.concat(back).subarray(0, 10_000), whole);
        for (const buffers of [[], new Array(VECTOR_BUFFERS_MAX + 1).fill(new Uint8Array(1))])
          assert.throws(() => operations.readVector(fd, buffers, 0, () => {}), RangeError);
        const most = Array.from({ length: VECTOR_BUFFERS_MAX }, () => new Uint8Array(2));
        assert.equal(await result((done) => operations.readVector(fd, most, 5, done)), 2 * VECTOR_BUFFERS_MAX);
        fs.closeSync(fd);
      });
    });

    test("CURRENT_POSITION goes on where the last transfer ended, and appends", async () => {
      await withFolder(under, async (operations, folder) => {
        const path = join(folder, "file");
        fs.writeFileSync(path, "one ");
        const fd = fs.openSync(path, "a");
        for (const text of ["two ", "three"])
          await result((done) => operations.writeAt(fd, Buffer.from(text), CURRENT_POSITION, done));
        fs.closeSync(fd);
        assert.equal(fs.readFileSync(path, "utf8"), "one two three");
        const reader = fs.openSync(path, "r");
        const buffer = new Uint8Array(4);
        const read: string[] = [];
        for (let count = 4; count === 4; ) {
          count = await result((done) => operations.readAt(reader, buffer, CURRENT_POSITION, done));
          read.push(Buffer.from(buffer.subarray(0, count)).toString());
        }
        assert.deepEqual(read, ["one ", "two ", "thre", "e"]);
        fs.closeSync(reader);
      });
    });

    test("truncate() and allocate() change the length", async () => {
      await withFolder(under, async (operations, folder) => {
        const path = join(folder, "file");
        fs.writeFileSync(path, "0123456789");
        const fd = fs.openSync(path, "r+");
        assert.equal(await result((done) => operations.truncate(fd, 4, done)), 0);
        assert.equal(fs.readFileSync(path, "utf8"), "0123");
        assert.equal(await result((done) => operations.allocate(fd, 2, 600_000, done)), 0);
        assert.equal(fs.statSync(path).size, 600_002);
        assert.ok(fs.statSync(path).blocks * 512 >= 600_000);
        assert.equal(fs.readFileSync(path).subarray(0, 6).toString(), "0123\0\0");
        assert.equal(await result((done) => operations.allocate(fd, 0, 10, done)), 0);
        assert.equal(fs.statSync(path).size, 600_002);
        for (const length of [-1, 1.5, Number.NaN]) {
          assert.throws(() => operations.truncate(fd, length, () => {}), RangeError);
          assert.throws(() => operations.allocate(fd, 0, length, () => {}), RangeError);
        }
        fs.closeSync(fd);
        const reader = fs.openSync(path, "r");
        assert.equal(await result((done) => operations.truncate(reader, 0, done)), -EINVAL);
        fs.closeSync(reader);
      });
    });

    test("readNow() reads what is in memory, or says that it cannot", async () => {
      await withFolder(under, async (operations, folder) => {
        const path = join(folder, "file");
        const whole = pattern(41, 0, 10_000);
        fs.writeFileSync(path, whole);
        const fd = fs.openSync(path, "r");
        const buffer = new Uint8Array(4_096);
        const count = operations.readNow(fd, buffer, 4_096);
        const isKnown = [4_096, -EAGAIN, -EOPNOTSUPP].includes(count);
        assert.ok(isKnown, `the result is ${count}`);
        if (under.name === "portable") assert.equal(count, -EOPNOTSUPP);
        if (count === 4_096) {
          assert.deepEqual(Buffer.from(buffer), whole.subarray(4_096, 8_192));
          assert.equal(operations.readNow(fd, buffer, 9_999), 1);
          assert.equal(operations.readNow(fd, buffer, 10_000), 0);
        }
        fs.closeSync(fd);
        if (under.name !== "portable") assert.equal(operations.readNow(999_999, buffer, 0), -EBADF);
        assert.equal(operations.pendingNow, 0);
      });
    });

    test("bad arguments throw before anything starts", async () => {
      await withFolder(under, async (operations) => {
        const nothing = (): void => {};
        const bad = undefined as unknown as string;
        for (const path of ["a\0b", Buffer.from("a\0b"), bad, 7 as unknown as string])
          assert.throws(() => operations.path({ call: "unlink", path }, nothing), TypeError);
        assert.throws(() => operations.path({ call: "rename", path: "a" }, nothing), TypeError);
        assert.throws(() => operations.stat("a\0b", true, nothing), TypeError);
        assert.throws(() => operations.stat(-1, true, nothing), RangeError);
        assert.throws(() => operations.closeFile(-1, nothing), RangeError);
        const text = "text" as unknown as Uint8Array;
        assert.throws(() => operations.readAt(0, text, 0, nothing), TypeError);
        assert.throws(() => operations.writeVector(0, [text], 0, nothing), TypeError);
        assert.throws(() => operations.readAt(0, new Uint8Array(1), -2, nothing), RangeError);
        assert.equal(operations.pendingNow, 0);
      });
    });

    test("cancel() ends a read of a pipe nobody writes to, and the buffer is let go", async () => {
      if (under.name !== "uring") return;
      await withFolder(under, async (operations, folder) => {
        const path = join(folder, "pipe");
        execFileSync("mkfifo", [path]);
        const fd = fs.openSync(path, fs.constants.O_RDWR);
        const buffer = new Uint8Array(8);
        let id = -1;
        const ended = result((done) => (id = operations.readAt(fd, buffer, CURRENT_POSITION, done)));
        setImmediate(() => operations.cancel(id));
        assert.equal(await ended, -ECANCELED);
        fs.writeSync(fd, "later");
        assert.deepEqual(buffer, new Uint8Array(8));
        fs.closeSync(fd);
      });
    });
  });
}

function statOf(
  operations: Operations,
  target: string | Uint8Array | number,
  followLinks: boolean,
): Promise<{ code: number; stat: FileStat | undefined }> {
  return within(
    "a stat",
    new Promise((resolve) => {
      operations.stat(target, followLinks, (code, stat) => resolve({ code, stat }));
    }),
  );
}

function result(begin: (done: OperationDone) => number): Promise<number> {
  return within("a completion", new Promise<number>((resolve) => begin(resolve)));
}

async function withFolder(
  under: Parameters<typeof withRig>[0],
  body: (operations: Operations, folder: string) => Promise<void>,
): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), "ringloom-"));
  try {
    await withRig(under, {}, ({ driver }) => body(driver.operations, folder));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
