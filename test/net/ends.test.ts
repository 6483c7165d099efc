/** How streams end, and what a write that is given up leaves behind; `RINGLOOM_DRIVER` says on which driver. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { connect as connectNode } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, listen, pushSocket } from "../../src/net/index.js";
import { within } from "../support/signal.js";
import { until, withPair } from "./net-rig.js";

/** More than the kernel and the write pool take of a connection whose peer does not read. */
const TOO_MUCH_BYTES = 24 * 1024 * 1024;

test("NetStream.close() loses nothing that was written, even when the peer reads late and still sends", async () => {
  const listener = await listen({ port: 0 });
  const client = connectNode(listener.port, "127.0.0.1");
  client.pause();
  const failures: Error[] = [];
  client.on("error", (error) => failures.push(error));
  const server = await listener.accept();
  const bytes = 3_000_000;
  await server.writeAll(Buffer.alloc(bytes, 1));
  await until("the kernel to have it", () => server.queuedBytes === 0);
  server.close();
  await sleep(10);
  client.write("more");
  await sleep(10);
  let got = 0;
  client.on("data", (chunk) => (got += chunk.length));
  client.resume();
  await within("the end", once(client, "close"));
  assert.deepEqual([got, failures], [bytes, []]);
  await within("the close", Promise.all([server.closed, listener.close()]));
});

test("NetStream.writeMany() that is given up leaves no hole: nothing of the later pieces is sent", async () => {
  await withPair(async ({ client, server }) => {
    const controller = new AbortController();
    const writing = client.writeMany([Buffer.alloc(TOO_MUCH_BYTES, 1), Buffer.alloc(1_000, 2)], {
      signal: controller.signal,
    });
    controller.abort();
    const written = await writing.then(
      () => assert.fail("it was given up"),
      (error: { details: { writtenBytes: number; bytes: number } }) => error.details,
    );
    assert.equal(written.bytes, TOO_MUCH_BYTES + 1_000);
    const ending = client.end();
    let received = 0;
    for await (const bytes of server) {
      received += bytes.length;
      assert.equal(bytes.indexOf(2), -1, "bytes of the second piece");
    }
    assert.equal(received, written.writtenBytes);
    await ending;
  });
});

test("NetStream.writeMany() takes thousands of small pieces, at once and behind others", async () => {
  await withPair(async ({ client, server }) => {
    const pieces = Array.from({ length: 5_000 }, (_, index) => Buffer.alloc(index % 50, index));
    const expected = Buffer.concat([...pieces, Buffer.alloc(1_000_000, 9), ...pieces]);
    const writing = [client.writeMany(pieces), client.writeAll(Buffer.alloc(1_000_000, 9)), client.writeMany(pieces)];
    assert.ok((await server.readExact(expected.length)).equals(expected));
    await Promise.all(writing);
  });
});

test("NetStream.end() twice while writes wait: both resolve", async () => {
  await withPair(async ({ client, server }) => {
    const waiting = [client.writeAll(Buffer.alloc(TOO_MUCH_BYTES)), client.end(), client.end()];
    assert.equal(await server.fold(0, (sum, bytes) => sum + bytes.length), TOO_MUCH_BYTES);
    await within("the ends", Promise.all(waiting));
  });
});

test("NetStream.toDuplex() is refused while a write waits, and ends the writes of the stream", async () => {
  await withPair(async ({ client, server }) => {
    const writing = client.writeAll(Buffer.alloc(TOO_MUCH_BYTES, 1));
    assert.throws(() => client.toDuplex(), { code: "ERR_RINGLOOM_BUSY" });
    assert.throws(() => pushSocket(client, { onData() {} }), { code: "ERR_RINGLOOM_BUSY" });
    await server.readExact(TOO_MUCH_BYTES);
    await within("the write", writing);
    const duplex = client.toDuplex();
    await assert.rejects(client.writeAll("late"), { code: "ERR_RINGLOOM_CLOSED" });
    duplex.end("last");
    assert.equal((await server.readExact(4)).toString(), "last");
    duplex.destroy();
  });
});

test("Handlers of segments and of drained writes run in the context of who gave them", async () => {
  const context = new AsyncLocalStorage<string>();
  await withPair(async ({ client, server }) => {
    const seen: unknown[] = [];
    const reading = context.run("the reader's", () =>
      server.recvSegments(() => {
        seen.push(context.getStore());
        return false;
      }),
    );
    await context.run("the writer's", () => client.writeAll("x"));
    await reading;
    const drained = new Promise((resolve) => {
      const socket = context.run("the maker's", () =>
        pushSocket(
          client,
          { onData() {}, onDrain: () => resolve(context.getStore()) },
          { writeQueueBytes: TOO_MUCH_BYTES },
        ),
      );
      assert.equal(
        context.run("the writer's", () => socket.write(Buffer.alloc(TOO_MUCH_BYTES))),
        false,
      );
    });
    await server.readExact(TOO_MUCH_BYTES);
    assert.deepEqual([...seen, await within("the drain", drained)], ["the reader's", "the maker's"]);
  });
});

test("PushSocket.write() counts bytes, not writes", async () => {
  await withPair(async ({ client, server }) => {
    const socket = pushSocket(client, { onData() {} });
    let written = 0;
    const write = (bytes: Buffer): boolean => {
      written += bytes.length;
      return socket.write(bytes);
    };
    while (write(Buffer.alloc(60_000)));
    for (let count = 0; count < 5_000; count++) write(Buffer.alloc(20, count));
    assert.throws(() => socket.write(Buffer.alloc(1024 * 1024)), { code: "ERR_RINGLOOM_BACKPRESSURE" });
    const received = await server.readExact(written);
    for (let count = 0; count < 5_000; count++)
      assert.equal(received[written - 20 * (5_000 - count)], count & 0xff, `write ${count}`);
  });
});

test("connect() fails when its resolver gives what is no address", async () => {
  // What users without types may do.
  const resolver = async () => [7] as unknown as string[];
  await assert.rejects(within("the failure", connect({ host: "name.test", port: 9 }, { resolver })), TypeError);
});
