/** Calls that name files, trees and whole files. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Operations } from "../../src/driver/contract.js";
import {
  canonicalize,
  chmod,
  chown,
  copy,
  diskUsage,
  exists,
  link,
  mkdir,
  readdir,
  readFile,
  readLink,
  readTextFile,
  remove,
  rename,
  rmdir,
  setTimes,
  stat,
  symlink,
  unlink,
  type WalkEntry,
  type WalkOptions,
  walk,
  watch,
  writeFile,
  writeFileAtomic,
} from "../../src/fs/index.js";
import { threadDriver } from "../../src/runtime/thread-driver.js";
import { describeOverDrivers } from "../support/file-drivers.js";
import { within } from "../support/signal.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describeOverDrivers("ringloom/fs", () => {
  let folder = "";
  const at = (name: string): string => join(folder, name);
  beforeEach(() => {
    folder = fs.mkdtempSync(join(tmpdir(), "ringloom-fs-"));
  });
  afterEach(() => fs.rmSync(folder, { recursive: true }));

  test("names are given, changed and taken", async () => {
    await writeFile(at("a"), "contents");
    await link(at("a"), at("b"));
    await symlink("b", at("c"));
    assert.equal(await readLink(at("c")), "b");
    assert.equal(await canonicalize(at("c")), fs.realpathSync(at("b")));
    assert.equal((await stat(at("c"))).links, 2);
    assert.equal((await stat(at("c"), { followLinks: false })).type, "symlink");
    await rename(at("a"), at("d"));
    assert.deepEqual(
      [await exists(at("a")), await exists(at("d")), await exists(join(at("d"), "x"))],
      [false, true, false],
    );
    await unlink(at("b"));
    assert.equal(await exists(at("c")), false);
    await unlink(at("c"));
    await mkdir(at("e"), { mode: 0o700 });
    await rmdir(at("e"));
    assert.deepEqual(await readdir(folder), [{ name: "d", type: "file" }]);
  });

  test("errors have the kernel's code, the operation and the names", async () => {
    const [a, b] = [at("a"), at("b")];
    await writeFile(a, "");
    await assert.rejects(rename(at("missing"), b), {
      name: "RingloomError",
      code: "ENOENT",
      operation: "rename",
      message: `Cannot rename: ENOENT (path ${at("missing")}, to ${b})`,
      details: { path: at("missing"), to: b },
    });
    await assert.rejects(link(a, a), { code: "EEXIST", operation: "link" });
    await assert.rejects(rmdir(a), { code: "ENOTDIR" });
    await assert.rejects(rmdir(folder), { code: "ENOTEMPTY" });
    await assert.rejects(mkdir(a), { code: "EEXIST" });
    await assert.rejects(mkdir(join(a, "x"), { recursive: true }), { code: "ENOTDIR" });
    await assert.rejects(mkdir(a, { recursive: true }), { code: "EEXIST" });
    await assert.rejects(readdir(a), { code: "ENOTDIR", operation: "readdir", details: { path: a } });
    await assert.rejects(readLink(a), { code: "EINVAL" });
    await assert.rejects(canonicalize(b), { code: "ENOENT", operation: "canonicalize" });
    await assert.rejects(readFile(b), { code: "ENOENT", operation: "open", details: { path: b } });
    await assert.rejects(chmod(b, 0o600), { code: "ENOENT", operation: "chmod" });
    await assert.rejects(copy(b, a), { code: "ENOENT", operation: "copy", details: { path: b, to: a } });
    fs.symlinkSync("loop", at("loop"));
    await assert.rejects(stat(at("loop")), { code: "ELOOP" });
    await assert.rejects(unlink("a\0b"), TypeError);
    await assert.rejects(mkdir(b, { mode: -1 }), RangeError);
    const signal = AbortSignal.abort();
    for (const call of [
      () => stat(a, { signal }),
      () => rename(a, b, { signal }),
      () => readdir(folder, { signal }),
      () => readFile(a, { signal }),
      () => mkdir(b, { signal, recursive: true }),
      () => remove(a, { signal }),
      () => diskUsage(folder, { signal }),
      () => writeFileAtomic(a, "x", { signal }),
    ])
      await assert.rejects(call(), { code: "ERR_RINGLOOM_ABORTED" });
    assert.deepEqual(fs.readdirSync(folder).sort(), ["a", "loop"]);
  });

  test("mkdir() with recursive makes what is missing, many at once", async () => {
    const deep = at("a/b/c/d");
    await Promise.all(Array.from({ length: 10 }, (_, index) => mkdir(join(deep, String(index)), { recursive: true })));
    assert.equal(fs.readdirSync(deep).length, 10);
    await mkdir(deep, { recursive: true });
    fs.symlinkSync("nowhere", at("dangling"));
    await assert.rejects(mkdir(at("dangling/x"), { recursive: true }), { code: "EEXIST" });
  });

  test("owner, permission bits and times are set", async () => {
    await writeFile(at("a"), "", { mode: 0o600 });
    await chmod(at("a"), 0o644);
    await setTimes(at("a"), { accessedMs: 1_000_500, modifiedMs: 2_000_250 });
    const { mode, accessedMs, modifiedMs, owner, group } = await stat(at("a"));
    assert.deepEqual([mode, accessedMs, modifiedMs], [0o644, 1_000_500, 2_000_250]);
    await chown(at("a"), { owner, group });
  });

  test("writeFile() replaces, appends and makes; readFile() is bounded", async () => {
    await writeFile(at("a"), "a longer text", { sync: true });
    await writeFile(at("a"), Buffer.from("text"));
    await writeFile(at("a"), " and more", { append: true });
    assert.equal(await readTextFile(at("a")), "text and more");
    await assert.rejects(writeFile(at("a"), "", { createNew: true }), { code: "EEXIST" });
    await assert.rejects(writeFile(at("a"), "", { createNew: true, append: true }), { code: "EEXIST" });
    await writeFile(at("b"), "ü", { createNew: true, mode: 0o600 });
    assert.equal((await stat(at("b"))).mode, 0o600);
    assert.deepEqual(Buffer.from(await readFile(at("b"))), Buffer.from("ü"));
    await assert.rejects(readFile(at("a"), { bytesMax: 3 }), { code: "EFBIG" });
    await writeFile(at("empty"), "");
    assert.equal((await readFile(at("empty"))).length, 0);
  });

  test("writeFileAtomic() keeps permission bits, and leaves nothing behind when it fails", async () => {
    await writeFileAtomic(at("a"), "one");
    await chmod(at("a"), 0o640);
    await writeFileAtomic(at("a"), "two", { sync: false });
    assert.equal(await readTextFile(at("a")), "two");
    assert.equal((await stat(at("a"))).mode, 0o640);
    await writeFileAtomic(at("a"), "three", { mode: 0o604 });
    assert.equal((await stat(at("a"))).mode, 0o604);
    await mkdir(at("full/x"), { recursive: true });
    await assert.rejects(writeFileAtomic(at("full"), "x"), { code: /EISDIR|ENOTEMPTY|EEXIST/ });
    await assert.rejects(writeFileAtomic(at("missing/a"), "x"), { code: "ENOENT" });
    assert.deepEqual(fs.readdirSync(folder).sort(), ["a", "full"]);
  });

  test("an atomic replacement that is given up while its file is being made leaves nothing beside the file", async () => {
    fs.writeFileSync(at("kept"), "old");
    const { operations } = threadDriver().driver;
    const slow = operations as { path: Operations["path"] };
    const { path } = operations;
    let late = 0;
    // As behind a slow disk: the file is made when everybody has forgotten about it.
    slow.path = (request, done) => {
      if (request.call !== "open") return path.call(operations, request, done);
      setTimeout(() => {
        path.call(operations, request, (result) => {
          late += 1;
          done(result);
        });
      }, 20);
      return 0;
    };
    try {
      const controller = new AbortController();
      // With a mode nothing is asked before.
      const writing = writeFileAtomic(at("kept"), "new", { signal: controller.signal, mode: 0o600 });
      controller.abort();
      await assert.rejects(writing, { code: "ERR_RINGLOOM_ABORTED" });
      await within(
        "the late file to be removed",
        (async () => {
          do await sleep(2);
          while (late === 0 || operations.pendingNow > 0 || fs.readdirSync(folder).length > 1);
        })(),
      );
    } finally {
      slow.path = path;
    }
    assert.equal(fs.readFileSync(at("kept"), "utf8"), "old");
  });

  test("whole files are read and written with a deadline, and given up by one", async () => {
    const later = { timeoutMs: 60_000, signal: new AbortController().signal };
    await writeFile(at("a"), "one", later);
    await writeFile(at("a"), " two", { ...later, append: true, sync: true });
    assert.equal(await readTextFile(at("a"), later), "one two");
    assert.equal((await readFile(at("a"), { timeoutMs: 60_000 })).length, 7);
    await writeFileAtomic(at("a"), "three", later);
    assert.equal(await readTextFile(at("a")), "three");
    const soon = { timeoutMs: 0.001 };
    const hasTimedOut = { code: "ERR_RINGLOOM_TIMEOUT" };
    await assert.rejects(readFile(at("a"), soon), hasTimedOut);
    await assert.rejects(writeFile(at("b"), "never", soon), hasTimedOut);
    await assert.rejects(writeFileAtomic(at("a"), "never", soon), hasTimedOut);
    assert.equal(await readTextFile(at("a")), "three");
  });

  test("names that are no UTF-8 name what they name", {
    skip: process.platform !== "linux" && "other systems refuse such names",
  }, async () => {
    const odd = (...names: string[]): Buffer =>
      Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(names.join("/"), "latin1")]);
    await writeFileAtomic(odd("\xff"), "one");
    await mkdir(odd("d\xe4", "\xe4"), { recursive: true });
    await mkdir(odd("d\xe4", "\xe4"), { recursive: true });
    await writeFileAtomic(odd("d\xe4", "\xe4", "\xff"), "two", { mode: 0o600 });
    assert.deepEqual(fs.readdirSync(folder, "latin1").sort(), ["d\xe4", "\xff"]);
    assert.equal(fs.readFileSync(odd("d\xe4", "\xe4", "\xff"), "utf8"), "two");
    await remove(folder, { recursive: true });
    assert.equal(fs.existsSync(folder), false);
    fs.mkdirSync(folder);
  });

  test("writeFileAtomic() takes names as long as the file system does", async () => {
    const name = "名".repeat(85);
    await writeFileAtomic(at(name), "long");
    assert.deepEqual(fs.readdirSync(folder), [name]);
  });

  test("whoever reads while writeFileAtomic() writes finds one whole file", async () => {
    const versions = ["1", "2", "3"].map((digit) => digit.repeat(50_000));
    await writeFileAtomic(at("a"), versions[0] ?? "", { sync: false });
    let isDone = false;
    const reader = (async () => {
      let reads = 0;
      for (; !isDone; reads++) assert.ok(versions.includes(await readTextFile(at("a"))));
      return reads;
    })();
    for (let round = 0; round < 20; round++) await writeFileAtomic(at("a"), versions[round % 3] ?? "", { sync: false });
    isDone = true;
    assert.ok((await reader) > 0);
  });

  test("copy() copies contents and bits", async () => {
    const contents = Buffer.alloc(200_000, "contents");
    await writeFile(at("a"), contents, { mode: 0o640 });
    await copy(at("a"), at("b"));
    assert.deepEqual(fs.readFileSync(at("b")), contents);
    assert.equal((await stat(at("b"))).mode, (await stat(at("a"))).mode);
    await assert.rejects(copy(at("a"), at("b"), { createNew: true }), { code: "EEXIST" });
  });

  /** 3 levels, 4 directories in each, 5 files in each. */
  function makeTree(): { directories: number; files: number } {
    let [directories, files] = [0, 0];
    const fill = (path: string, depth: number): void => {
      fs.mkdirSync(path);
      directories += 1;
      for (let index = 0; index < 5; index++) fs.writeFileSync(join(path, `file${index}`), "x".repeat(1_000));
      files += 5;
      for (let index = 0; index < 4 && depth > 0; index++) fill(join(path, `directory${index}`), depth - 1);
    };
    fill(at("tree"), 2);
    return { directories, files };
  }

  async function walked(path: string, options?: WalkOptions): Promise<WalkEntry[]> {
    const entries: WalkEntry[] = [];
    for await (const entry of walk(path, options)) entries.push(entry);
    return entries;
  }

  test("walk() finds everything once, a directory before what is in it", async () => {
    const { directories, files } = makeTree();
    fs.symlinkSync("..", at("tree/up"));
    for (const concurrency of [1, 3, 64]) {
      const entries = await walked(at("tree"), { concurrency });
      assert.equal(entries.length, directories - 1 + files + 1);
      assert.equal(new Set(entries.map(({ path }) => path)).size, entries.length);
      const seen = new Set([at("tree")]);
      for (const { path, name } of entries) {
        assert.ok(seen.has(path.slice(0, -name.length - 1)), `${path} came before its directory`);
        seen.add(path);
      }
      assert.equal(entries.find(({ name }) => name === "up")?.type, "symlink");
      assert.equal(Math.max(...entries.map(({ depth }) => depth)), 2);
    }
    assert.equal((await walked(at("tree"), { depthMax: 0 })).length, 10);
  });

  test("walk() can be left, is given up, and passes errors on or hands them over", async () => {
    makeTree();
    for await (const entry of walk(at("tree"))) {
      assert.ok(entry.path.length > 0);
      break;
    }
    const controller = new AbortController();
    const walking = (async () => {
      for await (const _ of walk(at("tree"), { signal: controller.signal })) controller.abort();
    })();
    await assert.rejects(walking, { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(walked(at("missing")), { code: "ENOENT", details: { path: at("missing") } });
    const errors: unknown[] = [];
    assert.deepEqual(await walked(at("missing"), { onError: (error) => errors.push(error) }), []);
    assert.equal(errors.length, 1);
    const hasTimedOut = { code: "ERR_RINGLOOM_TIMEOUT" };
    await assert.rejects(walked(at("tree"), { timeoutMs: 0.001, onError: (error) => errors.push(error) }), hasTimedOut);
    await assert.rejects(
      diskUsage(at("tree"), { timeoutMs: 0.001, onError: (error) => errors.push(error) }),
      hasTimedOut,
    );
    assert.equal(errors.length, 1);
    for (const concurrency of [0, 1.5, 1_025]) await assert.rejects(walked(at("tree"), { concurrency }), RangeError);
  });

  test("diskUsage() counts as du does, a file with two names once", async () => {
    const { directories, files } = makeTree();
    fs.linkSync(at("tree/file0"), at("tree/directory0/again"));
    fs.truncateSync(at("tree/file1"), 10_000_000);
    fs.symlinkSync("missing", at("tree/symbol"));
    const usage = await diskUsage(at("tree"));
    assert.deepEqual([usage.directories, usage.files], [directories, files + 1]);
    assert.equal(usage.apparentBytes, files * 1_000 - 1_000 + 10_000_000 + "missing".length);
    const du = Number(execFileSync("du", ["-s", "--block-size=1", at("tree")], { encoding: "utf8" }).split("\t")[0]);
    assert.equal(usage.allocatedBytes, du);
    assert.equal((await diskUsage(at("tree/file2"))).files, 1);
    await assert.rejects(diskUsage(at("missing")), { code: "ENOENT", operation: "stat" });
  });

  test("remove() removes a tree and not what its links point to", async () => {
    makeTree();
    fs.writeFileSync(at("keep"), "x");
    fs.mkdirSync(at("kept"));
    fs.writeFileSync(at("kept/file"), "x");
    fs.symlinkSync("../keep", at("tree/link"));
    fs.symlinkSync("../kept", at("tree/directory1/link"));
    await assert.rejects(remove(at("tree")), { code: "ENOTEMPTY" });
    await remove(at("tree"), { recursive: true });
    assert.deepEqual(fs.readdirSync(folder).sort(), ["keep", "kept"]);
    assert.deepEqual(fs.readdirSync(at("kept")), ["file"]);
    await remove(at("keep"));
    await assert.rejects(remove(at("keep")), { code: "ENOENT" });
    await remove(at("keep"), { missingOk: true });
    fs.symlinkSync("kept", at("symbol"));
    await remove(at("symbol"), { recursive: true });
    assert.deepEqual(fs.readdirSync(folder), ["kept"]);
  });

  test("remove() removes the rest of a tree when others remove in it, too", async () => {
    for (let round = 0; round < 3; round++) {
      makeTree();
      const names = fs.readdirSync(at("tree"), { recursive: true, encoding: "utf8" });
      const options = { recursive: true, missingOk: round === 0 };
      const removing = [remove(at("tree"), options), remove(at("tree"), options)];
      for (const name of names.slice(0, 40)) await unlink(join(at("tree"), name)).catch(() => {});
      await Promise.all(removing);
      assert.equal(fs.existsSync(at("tree")), false);
    }
    await assert.rejects(remove(at("tree"), { recursive: true }), { code: "ENOENT" });
    await remove(at("tree"), { recursive: true, missingOk: true });
  });

  test("walk() keeps nothing of what was taken", async () => {
    for (let index = 0; index < 50; index++) fs.writeFileSync(at(`file${index}`), "");
    const taken: WeakRef<WalkEntry>[] = [];
    const entries = walk(folder);
    for (let index = 0; index < 40; index++) {
      const { value } = await entries.next();
      assert.ok(value !== undefined);
      taken.push(new WeakRef(value));
    }
    for (let tries = 0; taken.slice(0, 30).some((entry) => entry.deref() !== undefined); tries++) {
      assert.ok(tries < 100, "an entry is kept");
      await new Promise((resolve) => setTimeout(resolve, 1));
      collectGarbage();
    }
    assert.equal((await entries.next()).done, false);
    await entries.return();
  });

  test("watch() can be left while it waits", async () => {
    const watcher = watch(folder);
    const next = watcher.next();
    await within("the watch to be left", watcher.return());
    assert.equal((await within("the end", next)).done, true);
    assert.equal((await watcher.next()).done, true);
    assert.equal((await watch(at("missing")).return()).done, true);
  });

  test("watch() tells of changes until it is given up", async () => {
    const controller = new AbortController();
    const names = new Set<string | undefined>();
    const writing = setInterval(() => fs.writeFileSync(at("watched"), String(Math.random())), 5);
    try {
      const watching = (async () => {
        for await (const { name } of watch(folder, { signal: controller.signal })) {
          names.add(name);
          if (name === "watched") controller.abort();
        }
      })();
      await within("a change", watching);
    } finally {
      clearInterval(writing);
    }
    assert.ok(names.has("watched"));
    await assert.rejects(watch(at("missing")).next(), { code: "ENOENT", operation: "watch" });
    await assert.rejects(watch(folder, { signal: AbortSignal.abort() }).next(), { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(watch(folder, { waitingMax: 0 }).next(), RangeError);
  });

  test("watch() says that it dropped changes when nobody took them", async () => {
    const watcher = watch(folder, { waitingMax: 2 });
    const first = watcher.next();
    for (let index = 0; index < 20; index++) {
      fs.writeFileSync(at(`file${index}`), "x");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal((await within("a change", first)).value?.kind, "rename");
    const kinds: (string | undefined)[] = [];
    for (let index = 0; index < 3; index++) kinds.push((await within("a change", watcher.next())).value?.kind);
    assert.ok(kinds.includes("overflow"), kinds.join());
    await watcher.return();
  });
});
