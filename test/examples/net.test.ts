/** The examples of `ringloom/net`, run as a user runs them. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, type NetStream } from "../../src/net/index.js";
import { withNodeServer } from "../net/net-rig.js";

async function withExample(
  name: string,
  env: Readonly<Record<string, string>>,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const path = fileURLToPath(new URL(`../../../examples/net/${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [path], {
    env: { ...process.env, ...env, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  try {
    await body(await portOf(child));
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
  } finally {
    child.kill("SIGKILL");
  }
}

async function portOf(child: ChildProcess): Promise<number> {
  let output = "";
  for await (const chunk of child.stdout ?? []) {
    output += String(chunk);
    const found = /127\.0\.0\.1:(\d+)/.exec(output);
    if (found?.[1] !== undefined) return Number(found[1]);
  }
  throw new Error(`the example did not start: ${output}`);
}

async function reads(stream: NetStream, text: string): Promise<void> {
  assert.equal((await stream.readExact(Buffer.byteLength(text), { timeoutMs: 10_000 })).toString(), text);
}

test("examples/net/echo.js sends back what comes", { timeout: 30_000 }, async () => {
  await withExample("echo", {}, async (port) => {
    const stream = await connect({ port });
    const bytes = Buffer.alloc(1_000_000, "echo");
    const writing = stream.writeAll(bytes);
    assert.ok((await stream.readExact(bytes.length)).equals(bytes));
    await writing;
    await stream.end();
    assert.equal(await stream.read(), undefined);
  });
});

test("examples/net/chat.js passes lines on, knows who is there and keeps names apart", {
  timeout: 30_000,
}, async () => {
  await withExample("chat", {}, async (port) => {
    const [ann, bob, fake] = await Promise.all([connect({ port }), connect({ port }), connect({ port })]);
    for (const stream of [ann, bob, fake]) await reads(stream, "What is your name?\n");
    await ann.writeAll("Ann\n");
    await reads(ann, "Here: Ann\n");
    await bob.writeAll("Bob\r\n");
    await reads(ann, "Bob is here\n");
    await reads(bob, "Here: Ann, Bob\n");
    await fake.writeAll("Ann\n");
    await reads(fake, "That name is taken.\n");
    assert.equal(await fake.read(), undefined);
    await ann.writeAll("hello B");
    await ann.writeAll("ob\n");
    await reads(bob, "Ann: hello Bob\n");
    await bob.end();
    await reads(ann, "Bob has left\n");
    ann.close();
    bob.close();
    fake.close();
  });
});

test("examples/net/proxy.js carries both directions and their ends", { timeout: 30_000 }, async () => {
  const bytes = Buffer.alloc(4 * 1024 * 1024, "proxy");
  await withNodeServer(
    (socket) => {
      let received = 0;
      socket.on("data", (chunk) => (received += chunk.length));
      socket.on("end", () => socket.end(`got ${received}`));
    },
    async (target) => {
      await withExample("proxy", { TARGET: `127.0.0.1:${target}` }, async (port) => {
        const stream = await connect({ port });
        await stream.writeAll(bytes);
        await stream.end();
        let answer = "";
        for await (const piece of stream) answer += piece.toString();
        assert.equal(answer, `got ${bytes.length}`);
        await stream.closed;
      });
    },
  );
});
