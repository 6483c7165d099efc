/** Nothing that a program has started outlives it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningServer, run, startServer } from "./processes.js";

const LONG = `setInterval(() => {}, 1e6)`;
/** Starts another process, says its id, and then does what it is told. */
const parent = (then: string): string[] => [
  process.execPath,
  "-e",
  `const child = require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(LONG)}], { stdio: "inherit" });
   console.log("child " + child.pid); console.log("listening http://127.0.0.1:1"); ${then}`,
];

async function mustHaveEnded(pid: number): Promise<void> {
  assert.ok(pid > 1);
  for (let i = 0; i < 500; i++) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await delay(20);
  }
  process.kill(pid, "SIGKILL");
  assert.fail("it was left behind");
}

describe("run()", () => {
  it("ends with its time limit, and with it what the program has started", { timeout: 60_000 }, async () => {
    const { signal, stdout, stderr } = await run(parent(LONG), { timeoutMs: 2_000 });
    assert.equal(signal, "SIGKILL");
    assert.match(stderr, /killed after 2000 ms/);
    await mustHaveEnded(Number(/child (\d+)/.exec(stdout)?.[1]));
  });

  it("does not wait for what a program that ends leaves behind", { timeout: 60_000 }, async () => {
    const { code, stdout } = await run(parent("setTimeout(() => process.exit(0), 100)"), { timeoutMs: 50_000 });
    assert.equal(code, 0);
    await mustHaveEnded(Number(/child (\d+)/.exec(stdout)?.[1]));
  });
});

describe("startServer()", () => {
  for (const [title, then] of [
    ["that ends when it is told to", LONG],
    ["that does not listen to SIGTERM", `process.on("SIGTERM", () => {}); ${LONG}`],
  ] as const) {
    it(`stop() ends a server ${title}, and what it has started`, { timeout: 60_000 }, async () => {
      const server: RunningServer = await startServer(
        parent(`${then}; setInterval(() => console.log("child " + child.pid), 20)`),
        {
          timeoutMs: 20_000,
        },
      );
      const pid = await new Promise<number>((resolve) => {
        server.onLine((line) => {
          const match = /child (\d+)/.exec(line);
          if (match !== null) resolve(Number(match[1]));
        });
      });
      await server.stop();
      await mustHaveEnded(pid);
    });
  }
});
