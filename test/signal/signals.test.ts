import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { RingloomError } from "../../src/errors.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { type SignalStream, signals } from "../../src/signal/index.js";
import { type SelectWaiter, selectable } from "../../src/task/selectable.js";
import { withServe } from "../cli/ringloom.js";

const skip = process.platform === "win32" ? "Windows has no signals to send" : false;
const SHARDS = portSharing().isPossible ? 2 : 1;

function hasCode(code: string) {
  return (error: unknown): boolean => error instanceof RingloomError && error.code === code;
}

/** SIGWINCH, which ends nobody, in place of SIGUSR2, for which the test runner of Node 24 writes a diagnostic report. */
function send(name: NodeJS.Signals): void {
  process.kill(process.pid, name);
}

async function withStream(stream: SignalStream, use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } finally {
    stream.close();
  }
}

describe("signals()", { skip }, () => {
  test("hears signals from the moment of the call, on the main thread", async () => {
    const before = process.listenerCount("SIGWINCH");
    const stream = signals("SIGWINCH", "SIGHUP");
    await withStream(stream, async () => {
      send("SIGWINCH");
      assert.equal(await stream.next(), "SIGWINCH");
      send("SIGHUP");
      assert.equal(await stream.next(), "SIGHUP");
    });
    await until(() => process.listenerCount("SIGWINCH") === before);
  });

  test("keeps a signal once that came many times, and never loses one that came after it was taken", async () => {
    const stream = signals("SIGWINCH");
    await withStream(stream, async () => {
      for (let count = 0; count < 100; count++) {
        send("SIGWINCH");
        if (count % 10 === 0) await turn();
      }
      for (let count = 0; count < 50; count++) await turn();
      assert.equal(await stream.next(), "SIGWINCH");
      const abort = new AbortController();
      const none = stream.next({ signal: abort.signal });
      for (let count = 0; count < 50; count++) await turn();
      abort.abort();
      await assert.rejects(none, hasCode("ERR_RINGLOOM_ABORTED"));
      send("SIGWINCH");
      assert.equal(await stream.next(), "SIGWINCH");
    });
  });

  test("gives each stream every signal, and each signal of a stream to one who waits", async () => {
    const [one, two] = [signals("SIGWINCH"), signals("SIGWINCH")];
    const waits = [one.next(), one.next(), two.next()];
    let settled = 0;
    for (const wait of waits) void wait.then(() => (settled += 1)).catch(() => undefined);
    send("SIGWINCH");
    await until(() => settled === 2);
    send("SIGWINCH");
    await Promise.all(waits);
    one.close();
    two.close();
  });

  test("closed: loops end, waits reject, and the default of the system is back", async () => {
    const stream = signals("SIGWINCH");
    const loop = (async () => {
      for await (const _ of stream) assert.fail("nobody has sent any");
    })();
    const wait = stream.next();
    await turn();
    stream.close();
    stream.close();
    await loop;
    await assert.rejects(wait, hasCode("ERR_RINGLOOM_CLOSED"));
    await assert.rejects(stream.next(), hasCode("ERR_RINGLOOM_CLOSED"));
    const once = signals("SIGWINCH");
    const name = once.once();
    send("SIGWINCH");
    assert.equal(await name, "SIGWINCH");
    await assert.rejects(once.next(), hasCode("ERR_RINGLOOM_CLOSED"));
  });

  test("as a branch: forgotten it never claims, and what nobody claims stays for the next", async () => {
    const stream = signals("SIGWINCH");
    await withStream(stream, async () => {
      const got: string[] = [];
      const branch = (isWinner: boolean): SelectWaiter<NodeJS.Signals> => ({
        claim: () => isWinner,
        resolve: (name) => void got.push(name),
        reject: () => assert.fail("nothing has failed"),
      });
      const forget = stream[selectable]({ ...branch(true), claim: () => assert.fail("a forgotten branch was asked") });
      forget?.();
      forget?.();
      stream[selectable](branch(false));
      send("SIGWINCH");
      await turn();
      assert.equal(await stream.next(), "SIGWINCH");
      assert.deepEqual(got, []);
    });
  });

  test("refuses what is no signal, what nobody can listen to, and threads that belong to no server", async () => {
    const any = (...names: string[]) => signals(...(names as unknown as [NodeJS.Signals]));
    assert.throws(() => any(), TypeError);
    assert.throws(() => any("SIGNOTHING"), TypeError);
    assert.throws(() => any("toString"), TypeError);
    assert.throws(() => any("SIGKILL"), hasCode("ERR_RINGLOOM_INVALID_OPTION"));
    const source = new URL("../../src/signal/index.js", import.meta.url).href;
    const text = `const { parentPort } = require("node:worker_threads");
      import(${JSON.stringify(source)}).then(({ signals }) => { try { signals("SIGHUP"); } catch (error) { parentPort.postMessage(error.code); } });`;
    const thread = new Worker(text, { eval: true });
    const code = await new Promise((resolve) => thread.once("message", resolve));
    assert.equal(code, "ERR_RINGLOOM_WRONG_THREAD");
    await thread.terminate();
  });

  test("keeps the process alive while somebody waits, and not otherwise", async () => {
    const source = new URL("../../src/signal/index.js", import.meta.url).href;
    const program = (rest: string) => `import { signals } from ${JSON.stringify(source)}; ${rest}`;
    const idle = await runProgram(program(`signals("SIGWINCH"); console.log("done");`));
    assert.deepEqual(idle, { code: 0, stdout: "done\n" });
    const waiting = await runProgram(
      program(`const stream = signals("SIGWINCH");
        setImmediate(() => process.kill(process.pid, "SIGWINCH"));
        console.log(await stream.next());`),
    );
    assert.deepEqual(waiting, { code: 0, stdout: "SIGWINCH\n" });
  });

  test("reaches every shard of a server, whose own stop on SIGTERM goes on", async () => {
    const app = fileURLToPath(new URL("./fixtures/signal-app.js", import.meta.url));
    await withServe([app, "--port", "0", "--shards", String(SHARDS)], {}, async (server) => {
      server.child.kill("SIGWINCH");
      for (let shard = 0; shard < SHARDS; shard++)
        await server.said(new RegExp(`^shard ${shard} heard SIGWINCH$`, "m"));
      server.child.kill("SIGTERM");
      for (let shard = 0; shard < SHARDS; shard++) await server.said(new RegExp(`^shard ${shard} heard SIGTERM$`, "m"));
      assert.equal(await server.ended(), 0);
    });
  });
});

async function runProgram(text: string): Promise<{ code: unknown; stdout: string }> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  const code = await new Promise((resolve) => child.once("close", (exit, signal) => resolve(exit ?? signal)));
  return { code, stdout };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 2_000, "waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
