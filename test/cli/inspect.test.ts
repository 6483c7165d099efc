import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Debugger, type ThreadSession } from "../support/debugger.js";
import { DevFolder } from "../support/dev-folder.js";
import { driversUnderTest } from "../support/drivers.js";
import { Ringloom } from "./ringloom.js";

const APP = `import { App } from "ringloom/http";
const app = new App();
app.get("/add/:n", (c) => {
  const sum = Number(c.param("n")) + 1;
  return c.text(String(sum));
});
export default app;
`;
/** The line with `return`, counted from 0. */
const BREAK_LINE = 4;

interface CallFrame {
  readonly callFrameId: string;
}

async function listenForThreads(ringloom: Ringloom): Promise<Debugger> {
  await ringloom.complained(/^Debugger listening on ws:/m);
  const [, url = ""] = /^Debugger listening on (ws:\S+)$/m.exec(ringloom.stderr) ?? [];
  const attached = await Debugger.attach(url);
  await attached.main.call("NodeWorker.enable", { waitForDebuggerOnStart: true });
  return attached;
}

async function setBreakpoint(thread: ThreadSession, path: string, line = BREAK_LINE): Promise<void> {
  await thread.call("Debugger.enable");
  await thread.call("Debugger.setBreakpointByUrl", { lineNumber: line, url: pathToFileURL(path).href });
  await thread.call("Runtime.runIfWaitingForDebugger");
}

/** What `expression` is where the thread stops at a breakpoint. A thread that a debugger waited for stops at its first line, too. */
async function valueAtBreakpoint(thread: ThreadSession, expression: string): Promise<unknown> {
  for (;;) {
    const { hitBreakpoints, callFrames } = await thread.event("Debugger.paused");
    const [frame] = callFrames as CallFrame[];
    if (frame !== undefined && Array.isArray(hitBreakpoints) && hitBreakpoints.length > 0) {
      const found = await thread.call("Debugger.evaluateOnCallFrame", { callFrameId: frame.callFrameId, expression });
      return (found.result as { readonly value: unknown }).value;
    }
    await thread.call("Debugger.resume");
  }
}

/** Runs `dev --inspect` with a debugger attached, and ends both. */
async function withDebugger(
  driver: string,
  use: (found: { folder: DevFolder; url: string; debug: Debugger; ringloom: Ringloom }) => Promise<void>,
): Promise<void> {
  const folder = new DevFolder({ "app.js": APP });
  const ringloom = new Ringloom(["dev", folder.file("app.js"), "--port", "0", "--driver", driver, "--inspect=0"]);
  let debug: Debugger | undefined;
  try {
    const url = await ringloom.listening();
    await ringloom.said(/^ready/m);
    debug = await listenForThreads(ringloom);
    await use({ folder, url, debug, ringloom });
  } finally {
    if (ringloom.child.exitCode === null) ringloom.child.kill("SIGKILL");
    await ringloom.ended();
    debug?.close();
    folder.remove();
  }
}

for (const { name: driver, skip } of driversUnderTest) {
  describe(`ringloom dev --inspect on the ${driver} driver`, { skip }, () => {
    test("stops at a breakpoint in a handler, shows a variable and goes on, after a restart too", async () => {
      await withDebugger(driver, async ({ folder, url, debug, ringloom }) => {
        const first = await debug.thread(0);
        await setBreakpoint(first, folder.file("app.js"));
        const answer = fetch(`${url}/add/41`).then((response) => response.text());
        assert.equal(await valueAtBreakpoint(first, "sum"), 42);
        await first.call("Debugger.resume");
        assert.equal(await answer, "42");

        folder.replace("app.js", APP.replace("+ 1", "+ 2"));
        const second = await debug.thread(1);
        await setBreakpoint(second, folder.file("app.js"));
        const next = fetch(`${url}/add/41`).then((response) => response.text());
        assert.equal(await valueAtBreakpoint(second, "sum"), 43);
        await second.call("Debugger.resume");
        assert.equal(await next, "43");
        assert.equal(await ringloom.stop("SIGINT"), 0);
      });
    });

    test("restarts although a thread stands at a breakpoint", async () => {
      await withDebugger(driver, async ({ folder, url, debug }) => {
        const first = await debug.thread(0);
        await setBreakpoint(first, folder.file("app.js"));
        const lost = assert.rejects(fetch(`${url}/add/41`));
        assert.equal(await valueAtBreakpoint(first, "sum"), 42);
        folder.replace("app.js", APP.replace("+ 1", "+ 2"));
        await lost;
        const second = await debug.thread(1);
        await second.call("Runtime.runIfWaitingForDebugger");
        const response = await fetch(`${url}/add/41`, { headers: { connection: "close" } });
        assert.equal(await response.text(), "43");
      });
    });

    test("ends although a thread stands at a breakpoint", async () => {
      await withDebugger(driver, async ({ folder, url, debug, ringloom }) => {
        const thread = await debug.thread(0);
        await setBreakpoint(thread, folder.file("app.js"));
        const cut = assert.rejects(fetch(`${url}/add/41`));
        assert.equal(await valueAtBreakpoint(thread, "sum"), 42);
        assert.equal(await ringloom.stop("SIGINT"), 0);
        await cut;
      });
    });

    test("--inspect-wait loads the module when a debugger has attached, which can stop at its first line", async () => {
      const source = `globalThis.answer = 42;\nconsole.log("loaded");\n${APP}`;
      const folder = new DevFolder({ "app.js": source });
      const args = ["dev", folder.file("app.js"), "--port", "0", "--driver", driver, "--inspect-wait=0"];
      const ringloom = new Ringloom(args);
      let debug: Debugger | undefined;
      try {
        debug = await listenForThreads(ringloom);
        await debug.main.call("Runtime.enable");
        // The command answers its debugger while it waits for the word to go on.
        assert.equal(ringloom.stdout, "");
        await debug.main.call("Runtime.runIfWaitingForDebugger");
        const thread = await debug.thread(0);
        await setBreakpoint(thread, folder.file("app.js"), 1);
        assert.equal(await valueAtBreakpoint(thread, "globalThis.answer"), 42);
        assert.doesNotMatch(ringloom.stdout, /loaded|^ready/m);
        await thread.call("Debugger.resume");
        const url = await ringloom.listening();
        await ringloom.said(/^loaded$/m);
        assert.equal(await (await fetch(`${url}/add/41`, { headers: { connection: "close" } })).text(), "42");
        assert.equal(await ringloom.stop("SIGINT"), 0);
      } finally {
        if (ringloom.child.exitCode === null) ringloom.child.kill("SIGKILL");
        await ringloom.ended();
        debug?.close();
        folder.remove();
      }
    });
  });
}
