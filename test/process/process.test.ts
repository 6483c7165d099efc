import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { RingloomError } from "../../src/errors.js";
import { type Child, ChildError, run, spawn } from "../../src/process/index.js";
import { selectable } from "../../src/task/selectable.js";
import { threadTimers } from "../../src/time/timers.js";
import { withServe } from "../cli/ringloom.js";

const skip = process.platform === "win32" ? "the programs of these tests are POSIX's" : false;

function hasCode(code: string) {
  return (error: unknown): boolean => error instanceof RingloomError && error.code === code;
}

/** Starts a child, and ends it whatever happens. */
async function withChild(child: Child, use: (child: Child) => Promise<void>): Promise<void> {
  try {
    await use(child);
  } finally {
    await child[Symbol.asyncDispose]();
  }
}

describe("spawn()", { skip }, () => {
  test("gives streams to write to and to read from, and the way it ended", async () => {
    await withChild(await spawn("cat"), async (cat) => {
      assert.ok(cat.pid > 0);
      await cat.stdin.write("one ");
      assert.equal((await cat.stdout.read({ timeoutMs: 60_000 }))?.toString(), "one ");
      await cat.stdin.write(new TextEncoder().encode("two"));
      await cat.stdin.end();
      await cat.stdin.end();
      assert.equal(await cat.stdout.text(), "two");
      assert.equal(await cat.stdout.read(), undefined);
      assert.equal(await cat.stderr.text(), "");
      assert.deepEqual(await cat.wait(), { code: 0, signal: null, ok: true, stoppedBy: undefined });
      assert.equal(cat.kill(), false);
      await assert.rejects(cat.stdin.write("late"), hasCode("ERR_RINGLOOM_CLOSED"));
    });
  });

  test("moves a megabyte through both pipes at once, and holds a child back whose output nobody reads", async () => {
    await withChild(await spawn("cat"), async (cat) => {
      const piece = Buffer.alloc(64 * 1024, 7);
      let isBlocked = true;
      const writing = (async () => {
        for (let count = 0; count < 16; count++) await cat.stdin.write(piece);
        isBlocked = false;
        await cat.stdin.end();
      })();
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(isBlocked, true, "a megabyte fits no pipe");
      let length = 0;
      for await (const bytes of cat.stdout) length += bytes.length;
      await writing;
      assert.equal(length, 16 * piece.length);
    });
  });

  test("says why there is no child", async () => {
    await assert.rejects(spawn("/no/such/program"), hasCode("ENOENT"));
    await assert.rejects(spawn("/"), hasCode("EACCES"));
    await assert.rejects(spawn("cat", [], { cwd: "/no/such/folder" }), /no folder \/no\/such\/folder/);
    await assert.rejects(spawn("cat", [], { signal: AbortSignal.abort() }), hasCode("ERR_RINGLOOM_ABORTED"));
    await assert.rejects(spawn(""), TypeError);
    await assert.rejects(spawn("cat", "-n" as unknown as string[]), TypeError);
    await assert.rejects(spawn("cat", ["a\0b"]), RingloomError);
    await assert.rejects(spawn("cat", [], { timeoutMs: -1 }), RangeError);
    await assert.rejects(spawn("cat", [], { stdin: "tty" as "pipe" }), hasCode("ERR_RINGLOOM_INVALID_OPTION"));
  });

  test("gives the child its folder and its environment, and streams that lead elsewhere are no pipes", async () => {
    const child = await spawn("sh", ["-c", 'pwd; echo "$GREETING"'], {
      cwd: "/",
      env: { GREETING: "hello", PATH: process.env.PATH },
      stdin: "ignore",
      stderr: "ignore",
    });
    await withChild(child, async () => {
      assert.equal(await child.stdout.text(), "/\nhello\n");
      assert.throws(() => child.stdin, TypeError);
      assert.throws(() => child.stderr, TypeError);
    });
  });

  test("ends a child by its signal, by its time and by stop(), and says which", async () => {
    const abort = new AbortController();
    const options = { stdin: "ignore", stdout: "ignore", stderr: "ignore" } as const;
    const [byTime, bySignal, byStop] = await Promise.all([
      spawn("sleep", ["600"], { ...options, timeoutMs: 20 }),
      spawn("sleep", ["600"], { ...options, signal: abort.signal }),
      spawn("sleep", ["600"], options),
    ]);
    abort.abort();
    const ended = { code: null, signal: "SIGTERM", ok: false };
    assert.deepEqual(await byTime.wait(), { ...ended, stoppedBy: "timeout" });
    assert.deepEqual(await bySignal.wait(), { ...ended, stoppedBy: "signal" });
    assert.deepEqual(await byStop.stop(), { ...ended, stoppedBy: "stop" });
  });

  test("kills a child that does not obey, when its grace is over", async () => {
    const child = await spawn("sh", ["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"], { graceMs: 50 });
    assert.equal((await child.stdout.read())?.toString(), "ready\n");
    assert.equal((await child.stop()).signal, "SIGKILL");
    assert.equal(await child.stdout.read(), undefined);
  });

  test("sends signals to a whole group", async () => {
    const child = await spawn("sh", ["-c", "sleep 600 & echo $!; wait"], { group: true, stdin: "ignore" });
    await withChild(child, async () => {
      const grandchild = Number((await child.stdout.read())?.toString());
      child.kill("SIGKILL");
      await child.wait();
      await until(() => !isRunning(grandchild));
    });
  });

  test("ends what obeys no SIGTERM in a group whose head has ended, whether it holds a pipe or not", async () => {
    for (const streams of ["", "> /dev/null 2>&1"]) {
      const stubborn = `trap '' TERM; (while :; do sleep 0.05; done) < /dev/null ${streams} & left=$!; trap - TERM`;
      const child = await spawn("sh", ["-c", `${stubborn}; echo $left; cat`], { group: true, graceMs: 50 });
      await withChild(child, async () => {
        const left = Number((await child.stdout.read())?.toString());
        assert.equal(isRunning(left), true);
        assert.equal((await child.stop()).signal, "SIGTERM");
        await until(() => !isRunning(left));
      });
    }
  });

  test("signals what a child has left behind in its group", async () => {
    const child = await spawn("sh", ["-c", "sleep 600 & echo $!"], { group: true, stdin: "ignore", graceMs: 60_000 });
    await withChild(child, async () => {
      const grandchild = Number((await child.stdout.read())?.toString());
      await child.wait();
      assert.equal(child.kill("SIGKILL"), true);
      await until(() => !isRunning(grandchild));
    });
  });

  test("waits only as long as it is told, as a branch too, and the child does not notice", async () => {
    await withChild(await spawn("cat"), async (cat) => {
      await assert.rejects(cat.wait({ timeoutMs: 5 }), hasCode("ERR_RINGLOOM_TIMEOUT"));
      await assert.rejects(cat.stdout.read({ signal: AbortSignal.timeout(5) }), hasCode("ERR_RINGLOOM_ABORTED"));
      const asked = (): never => assert.fail("a forgotten branch was asked");
      const branch = { claim: asked, resolve: asked, reject: asked };
      await cat.stdin.write("here");
      await until(() => cat.stdout[selectable]({ ...branch, claim: () => false }) === undefined);
      const pending = threadTimers().pendingNow;
      assert.equal((await cat.stdout.read({ timeoutMs: 60_000 }))?.toString(), "here");
      assert.equal(threadTimers().pendingNow, pending, "a read that found something has left its timer");
      cat.stdout[selectable](branch)?.();
      cat[selectable](branch)?.();
      cat.stdout[selectable]({ ...branch, claim: () => false });
      await cat.stdin.write("still there");
      await cat.stdin.end();
      assert.equal(await cat.stdout.text(), "still there");
    });
  });

  test("reports a child that reads no more as EPIPE", async () => {
    await withChild(await spawn("sh", ["-c", "exec 0<&-; exec sleep 600"]), async (child) => {
      const piece = Buffer.alloc(256 * 1024);
      const write = async (): Promise<void> => {
        for (;;) await child.stdin.write(piece);
      };
      await assert.rejects(write(), hasCode("EPIPE"));
    });
  });
});

describe("run()", { skip }, () => {
  test("gives what a program says", async () => {
    const result = await run("sh", ["-c", "cat; echo oops >&2"], { input: "hello" });
    assert.equal(result.stdout.toString(), "hello");
    assert.equal(result.stderr.toString(), "oops\n");
    assert.equal(result.code, 0);
    // A program that reads nothing of what it is given has not failed.
    await run("true", [], { input: Buffer.alloc(1_000_000) });
  });

  test("rejects when a program fails, with what it said, unless that is not to be checked", async () => {
    await assert.rejects(run("sh", ["-c", "echo out; echo why >&2; exit 3"]), (error) => {
      assert.ok(error instanceof ChildError);
      assert.equal(error.code, "ERR_RINGLOOM_CHILD_FAILED");
      assert.match(error.message, /exited with 3: why/);
      assert.equal(error.result.stdout.toString(), "out\n");
      return true;
    });
    await assert.rejects(run("sh", ["-c", "kill -9 $$"]), /was ended by SIGKILL/);
    assert.equal((await run("sh", ["-c", "exit 3"], { check: false })).code, 3);
  });

  test("stops a program that takes too long, is given up or says too much, and then it is gone", async () => {
    const abort = new AbortController();
    const pids: number[] = [];
    const script = "echo $$; exec sleep 600";
    const note = (error: unknown): ChildError => {
      assert.ok(error instanceof ChildError, String(error));
      const pid = Number.parseInt(error.result.stdout.toString(), 10);
      if (pid > 0) pids.push(pid);
      return error;
    };
    const timed = run("sh", ["-c", script], { timeoutMs: 200 });
    await assert.rejects(timed, (error) => note(error).code === "ERR_RINGLOOM_TIMEOUT");
    setTimeout(() => abort.abort("why"), 200);
    const aborted = run("sh", ["-c", script], { signal: abort.signal });
    await assert.rejects(aborted, (error) => note(error).cause === "why");
    const long = run("sh", ["-c", "echo $$; exec yes"], { maxBytes: 1_000 });
    await assert.rejects(long, (error) => note(error).code === "ERR_RINGLOOM_OUTPUT_TOO_LARGE");
    for (const pid of pids) assert.equal(isRunning(pid), false);
    assert.equal(pids.length, 3);
  });

  test("ends although somebody else holds the pipes of a program that has ended", async () => {
    const startedMs = performance.now();
    const held = run("sh", ["-c", "sleep 20 & echo $!"], { timeoutMs: 50, graceMs: 50 });
    const result = await held.catch((error: unknown) => (error as ChildError).result);
    process.kill(Number(result.stdout.toString()), "SIGKILL");
    assert.ok(performance.now() - startedMs < 15_000);
  });

  test("leaves no zombie and no descriptor behind", {
    skip: process.platform !== "linux" && "reads /proc",
  }, async () => {
    await run("true");
    const before = readdirSync("/proc/self/fd").length;
    for (let count = 0; count < 5; count++) {
      await Promise.all(Array.from({ length: 6 }, () => run("sh", ["-c", "echo out; echo err >&2"], { input: "in" })));
      const silent = await spawn("sh", ["-c", "echo nobody reads this"]);
      await silent.wait();
      await silent[Symbol.asyncDispose]();
      await assert.rejects(spawn("/no/such/program"));
    }
    await until(() => readdirSync("/proc/self/fd").length <= before);
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim();
    assert.equal(children, "");
  });

  test("works on other threads, and what a thread leaves behind is told to end with it", async () => {
    const source = new URL("../../src/process/index.js", import.meta.url).href;
    const text = `const { parentPort } = require("node:worker_threads");
      import(${JSON.stringify(source)}).then(async ({ run, spawn }) => {
        const { stdout } = await run("echo", ["from a thread"]);
        const left = await spawn("sleep", ["600"]);
        parentPort.postMessage({ said: stdout.toString(), left: left.pid });
        process.exit(0);
      });`;
    const thread = new Worker(text, { eval: true });
    const { said, left } = await new Promise<{ said: string; left: number }>((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", reject);
    });
    assert.equal(said, "from a thread\n");
    await until(() => !isRunning(left));
  });
});

describe("children of a shard", { skip: process.platform !== "linux" && "reads /proc" }, () => {
  test("end with its thread in a rolling restart, and are reaped", async () => {
    const app = fileURLToPath(new URL("./fixtures/child-app.js", import.meta.url));
    await withServe([app, "--port", "0", "--shards", "1"], {}, async (server, url) => {
      const ask = async (): Promise<string> => (await fetch(`${url}/pid`, { headers: { connection: "close" } })).text();
      const first = await ask();
      server.child.kill("SIGHUP");
      await server.said(/^restarted/m);
      const second = await ask();
      assert.notEqual(second, first);
      await until(() => !existsSync(`/proc/${first}`));
      assert.equal(isRunning(Number(second)), true);
      assert.equal(await server.stop(), 0);
      await until(() => !isRunning(Number(second)));
    });
  });
});

/** Whether there is such a process that has not ended: a zombie has. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== "linux") return true;
  const state = /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return state !== "Z";
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 2_000, "waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
