/** What a machine can refuse: room, permission, descriptors, opcodes. Each in a process of its own where it would hurt this one. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { OPERATIONS_MAX } from "../../src/constants.js";
import { UringOperations } from "../../src/driver/uring-operations.js";
import { open, readFile, stat, writeFile, writeFileAtomic } from "../../src/fs/index.js";
import { requireNative } from "../../src/native.js";
import { Ring } from "../../src/ring/ring.js";
import { threadDriver } from "../../src/runtime/thread-driver.js";
import { driversUnderTest } from "../support/drivers.js";
import { describeOverDrivers } from "../support/file-drivers.js";
import { within } from "../support/signal.js";

const MODULE = new URL("../../src/fs/index.js", import.meta.url).href;
const isRoot = process.getuid?.() === 0;
let folder = "";
before(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "ringloom-fs-"));
});
after(() => fs.rmSync(folder, { recursive: true }));

describeOverDrivers("A full disk", (driver) => {
  let disk = "";
  let problem: string | undefined;
  before(() => {
    disk = join(folder, `disk-${driver}`);
    fs.mkdirSync(disk);
    problem = mountSmall(disk);
  });
  after(() => {
    if (problem === undefined) execFileSync("umount", [disk]);
  });

  test("is ENOSPC, and what was there before stays", async (context) => {
    if (problem !== undefined) return context.skip(problem);
    const path = join(disk, "file");
    await writeFile(path, "precious");
    const large = Buffer.alloc(1_000_000);
    await assert.rejects(writeFileAtomic(path, large), { code: "ENOSPC", operation: "write" });
    assert.equal(fs.readFileSync(path, "utf8"), "precious");
    assert.deepEqual(fs.readdirSync(disk), ["file"]);
    await assert.rejects(
      writeFile(join(disk, "large"), large),
      (error: { code?: string; details?: { path?: string } }) => {
        assert.equal(error.code, "ENOSPC");
        assert.equal(error.details?.path, join(disk, "large"));
        return true;
      },
    );
    fs.unlinkSync(join(disk, "large"));
    const file = await open(join(disk, "reserved"), { write: true, create: true });
    await assert.rejects(file.allocate(0, 10_000_000), { code: "ENOSPC", operation: "allocate" });
    await file.close();
    assert.equal(threadDriver().driver.operations.pendingNow, 0);
  });
});

for (const { name, skip } of driversUnderTest) {
  test(`descriptors used up are EMFILE, on ${name}, and later there are some again`, { skip }, () => {
    const output = runScript(
      name,
      ["sh", "-c", 'ulimit -n 64; exec "$0" "$@"'],
      `
        const files = [];
        let code;
        while (code === undefined) {
          try { files.push(await open(process.execPath)); } catch (error) { code = error.code; }
        }
        if (files.length < 5) throw new Error("there were only " + files.length);
        await files.pop().close();
        await (await open(process.execPath)).close();
        for (const file of files) await file.close();
        console.log(code);
      `,
    );
    assert.equal(output, "EMFILE\n");
  });

  test(`a forbidden path is EACCES, on ${name}`, {
    skip: skip || (!isRoot && "only root can become somebody else"),
  }, () => {
    const path = join(folder, `forbidden-${name}`);
    fs.writeFileSync(path, "x", { mode: 0o600 });
    fs.chmodSync(folder, 0o755);
    const output = runScript(
      name,
      [],
      `
        process.setgid(65534);
        process.setuid(65534);
        for (const call of [() => open(path), () => stat(path + "/x"), () => rename(path, path + "2"), () => unlink(path), () => mkdir(path + "3")])
          await call().then(() => console.log("done"), ({ code }) => console.log(code));
        console.log((await stat(path)).mode.toString(8));
      `.replaceAll("path", JSON.stringify(path)),
    );
    assert.equal(output, "EACCES\nENOTDIR\nEACCES\nEACCES\nEACCES\n600\n");
  });
}

describeOverDrivers("A thread with too many operations", () => {
  test("is refused with a typed error, and goes on when there is room", async () => {
    const path = join(folder, "file");
    fs.writeFileSync(path, "x");
    const { operations } = threadDriver().driver;
    const file = await open(path);
    const { descriptor } = file;
    const ids = Array.from({ length: OPERATIONS_MAX }, () => operations.timeout(100_000, () => {}));
    await assert.rejects(stat(path), { code: "ERR_RINGLOOM_OVERLOADED" });
    await assert.rejects(readFile(path), { code: "ERR_RINGLOOM_OVERLOADED" });
    // A descriptor must not be lost for want of an operation.
    await file.close();
    assert.throws(() => fs.fstatSync(descriptor), { code: "EBADF" });
    for (const id of ids) operations.cancel(id);
    await within(
      "room",
      untilSo(() => operations.pendingNow === 0),
    );
    assert.equal((await stat(path)).size, 1);
    assert.equal((await readFile(path)).length, 1);
  });
});

const uring = driversUnderTest.find(({ name }) => name === "uring");
describe("UringOperations on a kernel without the opcodes", {
  skip: uring?.skip ?? "another driver was asked for",
}, () => {
  test("goes through the pool, with the same results", async () => {
    const ring = new Ring(requireNative(), { entries: 8, inverted: false });
    let wakes = 0;
    const operations = new UringOperations(ring, { changed() {}, wake: () => (wakes += 1), supports: () => false });
    const result = (begin: (done: (value: number) => void) => number): Promise<number> =>
      within("a completion", new Promise((resolve) => begin(resolve)));
    const path = join(folder, "pooled");
    const request = { call: "open", path, flags: fs.constants.O_RDWR | fs.constants.O_CREAT, mode: 0o600 } as const;
    const fd = await result((done) => operations.path(request, done));
    assert.ok(fd > 2);
    assert.equal(await result((done) => operations.allocate(fd, 0, 100, done)), 0);
    assert.equal(await result((done) => operations.truncate(fd, 7, done)), 0);
    const size = await new Promise((resolve) => operations.stat(fd, true, (_, found) => resolve(found?.size)));
    assert.equal(size, 7);
    const missing = new Promise((resolve) => operations.stat(`${path}2`, true, (code) => resolve(code)));
    // What the pool has begun cannot be cancelled, and completes once all the same.
    operations.close();
    assert.equal(await missing, -2);
    assert.throws(() => operations.path(request, () => {}), { code: "ERR_RINGLOOM_CLOSED" });
    assert.equal(operations.pendingNow, 0);
    assert.equal(wakes, 5);
    fs.closeSync(fd);
    ring.close();
  });
});

/** A file system of 64 KiB. Returns why there is none. */
function mountSmall(path: string): string | undefined {
  if (process.platform !== "linux" || !isRoot) return "only root on Linux can mount a small disk";
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path], { encoding: "utf8" });
  return status === 0 ? undefined : `cannot mount: ${stderr.trim()}`;
}

/** Runs a module that has everything of `ringloom/fs`, and returns what it prints. */
function runScript(driver: string, prefix: readonly string[], body: string): string {
  const names = "open, stat, rename, unlink, mkdir";
  const code = `import { ${names} } from ${JSON.stringify(MODULE)};\n${body}`;
  const [command, ...args] = [...prefix, process.execPath, "--input-type=module", "--eval", code];
  return execFileSync(command ?? "", args, {
    encoding: "utf8",
    env: { ...process.env, RINGLOOM_DRIVER: driver },
    timeout: 60_000,
    killSignal: "SIGKILL",
  });
}

async function untilSo(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}
