/** The push form, the pipe, segments and web streams. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { RingloomError } from "../../src/errors.js";
import { connect, connectPush, listen, type NetStream, openPipe, pushSocket } from "../../src/net/index.js";
import { until, unusedPort, withNodeServer, withPair } from "./net-rig.js";

test("connectPush() pushes what comes, in the context of its caller, and ends with the peer", async () => {
  const context = new AsyncLocalStorage<string>();
  await withNodeServer(
    (socket) => socket.on("data", (bytes) => socket.end(`echo ${bytes.toString()}`)),
    async (port) => {
      const seen: string[] = [];
      let closed: Error | undefined | "not yet" = "not yet";
      const socket = await context.run("mine", () =>
        connectPush(
          { port },
          {
            onData: (bytes) => seen.push(`${bytes.toString()} ${context.getStore()}`),
            onClose: (error) => (closed = error),
          },
        ),
      );
      assert.equal(socket.write("hello"), true);
      await until("the close", () => closed !== "not yet");
      assert.equal(closed, undefined);
      assert.deepEqual(seen, ["echo hello mine"]);
      assert.equal(socket.isClosed, true);
      assert.throws(() => socket.write("late"), { code: /EPIPE|ERR_RINGLOOM_CLOSED/ });
      socket.end();
      socket.close();
    },
  );
});

test("pushSocket() gets what nobody has read, and the stream is of no more use", async () => {
  await withPair(async ({ client, server }) => {
    await client.writeAll("early");
    await client.end();
    await until("the bytes", () => server.bytesAvailable === 5);
    const events: string[] = [];
    const socket = pushSocket(server, {
      onData: (bytes) => events.push(bytes.toString()),
      onEnd: () => events.push("end"),
    });
    assert.equal(events.length, 0, "nothing comes before the socket is in hand");
    await assert.rejects(server.read(), { code: "ERR_RINGLOOM_CLOSED" });
    assert.throws(() => server.toDuplex(), { code: "ERR_RINGLOOM_CLOSED" });
    await until("the end", () => events.includes("end"));
    assert.deepEqual(events, ["early", "end"]);
    socket.write("back");
    assert.equal((await client.readExact(4)).toString(), "back");
    socket.close();
  });
});

test("PushSocket.write() is bounded, and onDrain tells when a slow peer has caught up", async () => {
  let peer: Socket | undefined;
  await withNodeServer(
    (socket) => (peer = socket.pause()),
    async (port) => {
      let drains = 0;
      const socket = await connectPush(
        { port },
        { onData: () => {}, onDrain: () => drains++ },
        { writeQueueBytes: 200_000 },
      );
      await until("the peer", () => peer !== undefined);
      const piece = Buffer.alloc(64 * 1024, 1);
      let written = 0;
      let isTaken = true;
      const fill = (): void => {
        for (;;) {
          const result = socket.write(piece);
          written += piece.length;
          isTaken &&= result;
        }
      };
      assert.throws(fill, { code: "ERR_RINGLOOM_BACKPRESSURE" });
      assert.equal(isTaken, false);
      assert.ok(written < 64 * 1024 * 1024);
      let received = 0;
      peer?.on("data", (bytes) => (received += bytes.length)).resume();
      await until("everything to arrive", () => received === written);
      await until("the drain", () => drains > 0);
      assert.equal(socket.write("again"), true);
      socket.destroy();
    },
  );
});

test("Pipe connects anew, greets, and tells who waited", async () => {
  let connections = 0;
  await withNodeServer(
    (socket) => {
      const number = ++connections;
      socket.on("data", (bytes) => {
        const text = bytes.toString();
        if (text.includes("die")) socket.resetAndDestroy();
        else if (text.includes("end")) socket.end();
        else socket.write(`${number}:${text};`);
      });
    },
    async (port) => {
      const greeted: string[] = [];
      const pipe = await openPipe(
        { port },
        {
          delayMs: 1,
          onConnect: async (stream) => {
            await stream.writeAll("hi");
            greeted.push((await stream.readExact(5)).toString());
          },
        },
      );
      assert.deepEqual(greeted, ["1:hi;"]);
      await pipe.writeAll("a");
      assert.equal((await pipe.read())?.toString(), "1:a;");
      const waiting = assert.rejects(pipe.read(), { code: "ECONNRESET" });
      await pipe.writeAll("die");
      await waiting;
      await pipe.writeAll("b");
      assert.equal((await pipe.readExact(4)).toString(), "2:b;");
      assert.equal(pipe.connections, 2);
      await pipe.writeAll("end");
      assert.equal(await pipe.read(), undefined);
      await pipe.writeAll("c");
      assert.equal((await pipe.read())?.toString(), "3:c;");
      const reset = assert.rejects(pipe.read(), { code: "ECONNRESET" });
      await pipe.reset();
      await reset;
      assert.deepEqual([pipe.connections, pipe.isConnected], [4, true]);
      assert.deepEqual(greeted, ["1:hi;", "2:hi;", "3:hi;", "4:hi;"]);
      pipe.close();
      pipe.close();
      await assert.rejects(pipe.read(), { code: "ERR_RINGLOOM_CLOSED" });
      await assert.rejects(pipe.reset(), { code: "ERR_RINGLOOM_CLOSED" });
    },
  );
});

test("Pipe gives up after attemptsMax, and calls that wait for a connection have limits", async () => {
  const listener = await listen({ port: 0 });
  const pipe = await openPipe({ port: listener.port }, { delayMs: 50, delayMsMax: 60, attemptsMax: 2 });
  const server = await listener.accept();
  await listener.close();
  server.destroy();
  await until("the loss", () => !pipe.isConnected);
  await assert.rejects(pipe.read({ timeoutMs: 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
  await assert.rejects(pipe.writeAll("x"), (error: RingloomError) => {
    assert.equal(error.code, "ECONNREFUSED");
    assert.match(error.message, /2 attempts/);
    return true;
  });
  pipe.close();
  const port = await unusedPort();
  await assert.rejects(openPipe({ port }), { code: "ECONNREFUSED" });
  await assert.rejects(openPipe({ port }, { delayMs: 5, delayMsMax: 1 }), RangeError);
});

test("NetStream.recvSegments() and fold() lend each piece, stop when told and pass on what a handler throws", async () => {
  await withPair(async ({ client, server }) => {
    await client.writeAll("abc");
    await until("the bytes", () => server.bytesAvailable === 3);
    let text = "";
    const first = server.recvSegments((segment) => {
      text += Buffer.from(segment).toString();
      return text.length < 6;
    });
    await client.writeAll("def");
    await first;
    assert.equal(text, "abcdef");
    const failing = assert.rejects(
      server.recvSegments(() => {
        throw new Error("of the handler");
      }),
      /of the handler/,
    );
    await client.writeAll("ghi");
    await failing;
    const total = server.fold(0, (sum, segment) => sum + segment.length);
    for (let round = 0; round < 10; round++) await client.writeAll(Buffer.alloc(10_000));
    await client.end();
    assert.equal(await total, 100_000);
    assert.equal(await server.fold(5, () => 0), 5);
  });
});

test("NetStream.toWeb() carries both directions", async () => {
  await withPair(async ({ client, server }) => {
    const { readable, writable } = client.toWeb();
    const writer = writable.getWriter();
    await writer.write(Buffer.from("over the web"));
    assert.equal((await server.readExact(12)).toString(), "over the web");
    await server.writeAll("and back");
    await server.end();
    let text = "";
    for await (const bytes of readable) text += Buffer.from(bytes).toString();
    assert.equal(text, "and back");
    await writer.close();
    assert.equal(await server.read(), undefined);
  });
});

test("NetStream.tryRead… and tryWrite… never wait", async () => {
  await withPair(async ({ client, server }) => {
    assert.equal(server.tryRead(), undefined);
    const four = Buffer.alloc(4);
    assert.equal(server.tryReadExact(four), false);
    assert.equal(server.tryReadSome(four), 0);
    assert.equal(client.tryWriteAll(Buffer.from("abcdef")), true);
    await until("the bytes", () => server.bytesAvailable === 6);
    assert.equal(server.tryReadExact(four), true);
    assert.equal(four.toString(), "abcd");
    assert.equal(server.tryReadExact(four), false);
    assert.equal(server.tryReadSome(four), 2);
    assert.equal(server.tryRead(), undefined);
    const big = Buffer.alloc(8 * 1024 * 1024);
    assert.equal(client.tryWriteAll(big), false);
    const taken = client.tryWrite(big);
    assert.ok(taken > 0 && taken < big.length);
  });
});

test("NetStream holds no memory for reading while nothing waits, and options reach the socket", async () => {
  await withPair(
    async ({ client, server }) => {
      client.setNoDelay(false).setKeepAlive(true, 5_000);
      assert.throws(() => client.setKeepAlive(true, -1), RangeError);
      const size = 100_000;
      await client.writeAll(Buffer.alloc(size, 3));
      await until("the reader to be held back", () => server.bytesAvailable >= 8_192);
      // Held back at 8 KiB and what one receive brings.
      assert.ok(server.bytesAvailable <= 8_192 + 65_536);
      assert.ok((await server.readExact(size)).equals(Buffer.alloc(size, 3)));
    },
    { readBufferBytes: 8_192, noDelay: false, keepAlive: true },
  );
  await assert.rejects(connect({ port: 1 }, { readBufferBytes: 2 ** 40 }), RangeError);
});

test("Pipe.close() ends an attempt whose onConnect waits, and whoever waits for it", async () => {
  const sockets: Socket[] = [];
  await withNodeServer(
    (socket) => {
      sockets.push(socket);
      // Only the first one is greeted.
      if (sockets.length === 1) socket.write("+OK\n");
    },
    async (port) => {
      const pipe = await openPipe({ port }, { delayMs: 1, onConnect: (stream) => stream.readExact(4) });
      sockets[0]!.destroy();
      await until("the second connection", () => sockets.length === 2);
      const writing = assert.rejects(pipe.writeAll("x"), { code: "ERR_RINGLOOM_CLOSED" });
      pipe.close();
      await writing;
      sockets[1]!.resume();
      await until("the end of it", () => sockets[1]!.readableEnded || sockets[1]!.destroyed);
    },
  );
});

test("The limits of a pipe cover onConnect, and its signal ends the attempts", async () => {
  const sockets: Socket[] = [];
  await withNodeServer(
    (socket) => sockets.push(socket),
    async (port) => {
      const waits = { timeoutMs: 20, onConnect: (stream: NetStream) => stream.readExact(4) };
      await assert.rejects(openPipe({ port }, waits), { code: "ERR_RINGLOOM_TIMEOUT" });
      const controller = new AbortController();
      const { signal } = controller;
      const pipe = await openPipe({ port }, { signal, delayMs: 1 });
      await until("the connections", () => sockets.length === 2);
      controller.abort();
      await pipe.writeAll("what stands lives on");
      sockets[1]!.destroy();
      await until("the loss", () => !pipe.isConnected);
      await assert.rejects(pipe.writeAll("x"), { code: "ERR_RINGLOOM_ABORTED" });
      await assert.rejects(pipe.reset(), { code: "ERR_RINGLOOM_ABORTED" });
      assert.deepEqual([sockets.length, pipe.connections], [2, 1]);
      pipe.close();
    },
  );
});

test("PushSocket.close() sends what was queued before it closes, and pushes nothing more", async () => {
  const pieces = 16;
  const piece = Buffer.alloc(64 * 1024, "x");
  let received = 0;
  await withNodeServer(
    (socket) => {
      // Whatever comes at the close is too late.
      socket.on("data", (bytes) => (received += bytes.length)).on("end", () => socket.end("late"));
      socket.pause();
      setImmediate(() => socket.resume());
    },
    async (port) => {
      let closed: Error | undefined | "not yet" = "not yet";
      let pushed = 0;
      const socket = await connectPush(
        { port },
        { onData: () => pushed++, onDrain: () => pushed++, onClose: (error) => (closed = error) },
      );
      let isQueued = false;
      for (let index = 0; index < pieces; index++) isQueued = !socket.write(piece) || isQueued;
      assert.ok(isQueued, "more than the write pool takes at once");
      socket.close();
      assert.equal(socket.isClosed, true);
      assert.throws(() => socket.write("late"), { code: "ERR_RINGLOOM_CLOSED" });
      socket.end();
      socket.close();
      await until("the close", () => closed !== "not yet");
      assert.equal(closed, undefined);
      await until("all of it", () => received === pieces * piece.length);
      assert.equal(pushed, 0);
    },
  );
});

test("Pipe connects anew when the peer ends within what readExact() wants", async () => {
  const greetings = ["hel", "world"];
  await withNodeServer(
    (socket) => socket.end(greetings.shift() ?? ""),
    async (port) => {
      const pipe = await openPipe({ port }, { delayMs: 1 });
      await assert.rejects(pipe.readExact(5), { code: "ERR_RINGLOOM_UNEXPECTED_END" });
      assert.equal(pipe.isConnected, false);
      assert.equal((await pipe.readExact(5, { timeoutMs: 10_000 })).toString(), "world");
      assert.equal(pipe.connections, 2);
      pipe.close();
    },
  );
});

test("Pipe.read() tells of the peer's end once, before it gives what the next connection brings", async () => {
  const greetings = ["hel", "new", "last"];
  await withNodeServer(
    (socket) => socket.end(greetings.shift() ?? ""),
    async (port) => {
      const pipe = await openPipe({ port }, { delayMs: 1 });
      const told: (string | undefined)[] = [];
      while (told.length < 6) {
        told.push((await pipe.read({ timeoutMs: 10_000 }))?.toString());
        // Both ways to hear of it: the end is there when it is asked for, and it comes while a read waits.
        if (told.length === 1) await setTimeout(20);
      }
      assert.deepEqual(told, ["hel", undefined, "new", undefined, "last", undefined]);
      pipe.close();
    },
  );
});

test("Pipe.read() gives the answer to what was written since the peer ended, and no old end", async () => {
  let accepted = 0;
  await withNodeServer(
    (socket) => {
      accepted += 1;
      if (accepted === 1) socket.end();
      else socket.on("data", (bytes) => socket.write(`answer to ${bytes.toString()}`));
    },
    async (port) => {
      const pipe = await openPipe({ port }, { delayMs: 1 });
      await until("the second connection", () => pipe.connections === 2);
      await pipe.writeAll("ping");
      assert.equal((await pipe.read({ timeoutMs: 10_000 }))?.toString(), "answer to ping");
      pipe.close();
    },
  );
});

test("Pipe counts the wait for the connection and for the answer as one", async () => {
  let accepted = 0;
  await withNodeServer(
    (socket) => {
      accepted += 1;
      if (accepted === 1) socket.destroy();
      else setTimeout(250).then(() => socket.write("too late"));
    },
    async (port) => {
      const pipe = await openPipe({ port }, { delayMs: 200 });
      await until("the first connection to be lost", () => !pipe.isConnected);
      await assert.rejects(pipe.read({ timeoutMs: 300 }), { code: "ERR_RINGLOOM_TIMEOUT" });
      pipe.close();
    },
  );
});
