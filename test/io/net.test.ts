/** Readers, writers, frames and copies over real sockets of `ringloom/net`, on every driver. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BufferedReader, copy, copyBoth, lengthDelimited, split, toNodeReadable } from "../../src/io/index.js";
import { connect, listen, type NetListener, type NetStream } from "../../src/net/index.js";
import { closeThreadDriver, configureThreadDriver } from "../../src/runtime/thread-driver.js";
import { driversUnderTest } from "../support/drivers.js";

const LARGE_BYTES = 3_000_000;

/** A connection's two ends. */
async function withPair(
  use: (client: NetStream, server: NetStream, listener: NetListener) => Promise<void>,
): Promise<void> {
  const listener = await listen({ host: "127.0.0.1", port: 0 });
  const client = await connect({ host: "127.0.0.1", port: listener.port });
  const server = await listener.accept();
  try {
    await use(client, server, listener);
  } finally {
    client.close();
    server.close();
    await listener.close();
  }
}

for (const { name, skip } of driversUnderTest) {
  describe(`ringloom/io over sockets on the ${name} driver`, { skip }, () => {
    before(() => configureThreadDriver({ name }));
    after(closeThreadDriver);

    test("lines there and back through split(), which closes the socket when both halves have ended", () =>
      withPair(async (client, server) => {
        const near = split(client);
        const far = split(server);
        const shouting = (async () => {
          for await (const line of far.reader.lines()) {
            await far.writer.write(`${line.toUpperCase()}\n`);
            await far.writer.flush();
          }
          await far.writer.end();
        })();
        for (const line of ["one", "zwölf", ""]) {
          await near.writer.write(`${line}\r\n`);
          await near.writer.flush();
          assert.equal(await near.reader.readLine({ timeoutMs: 10_000 }), line.toUpperCase());
        }
        await near.writer.end();
        assert.equal(await near.reader.readLine(), undefined);
        await shouting;
        await Promise.all([client.closed, server.closed]);
      }));

    test("frames of all sizes arrive as they were written", () =>
      withPair(async (client, server) => {
        const messages = lengthDelimited({ payloadBytesMax: 200_000 });
        const sizes = [0, 1, 16_383, 16_384, 200_000, 3];
        const { writer } = split(client);
        const writing = (async () => {
          for (const [index, size] of sizes.entries()) await messages.write(writer, Buffer.alloc(size, index));
          await writer.end();
        })();
        const received: Buffer[] = [];
        for await (const payload of messages.frames(server, { timeoutMs: 10_000 })) received.push(payload);
        await writing;
        assert.deepEqual(
          received,
          sizes.map((size, index) => Buffer.alloc(size, index)),
        );
      }));

    test("copy() waits for a peer that does not read, and counts what it has copied", () =>
      withPair(async (client, server) => {
        const bytes = Buffer.alloc(LARGE_BYTES, "0123456789");
        let given = 0;
        function* source() {
          for (; given < 64; given++) yield bytes;
        }
        const giveUp = new AbortController();
        const copying = copy(source(), client, { signal: giveUp.signal });
        while (server.bytesAvailable === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        for (let quiet = 0, before = -1; quiet < 20; quiet = given === before ? quiet + 1 : 0) {
          before = given;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        assert.ok(given < 64, "a peer that reads nothing holds the copy up");
        giveUp.abort();
        await assert.rejects(copying, { code: "ERR_RINGLOOM_ABORTED" });
      }));

    test("copyBoth() is a proxy: bytes both ways, half-close, counts", () =>
      withPair(async (client, inside, listener) => {
        const outside = await connect({ host: "127.0.0.1", port: listener.port });
        const upstream = await listener.accept();
        const proxying = copyBoth(inside, outside, { idleTimeoutMs: 30_000 });
        const answering = (async () => {
          const received = await new BufferedReader(upstream, { bytesMax: LARGE_BYTES + 1 }).readAll();
          await upstream.writeAll(Buffer.concat([received, Buffer.from("!")]));
          await upstream.end();
        })();
        const bytes = Buffer.alloc(LARGE_BYTES, "0123456789");
        const sending = client.writeAll(bytes).then(() => client.end());
        const answer = await new BufferedReader(client, { bytesMax: LARGE_BYTES + 1 }).readAll();
        await Promise.all([sending, answering]);
        assert.ok(answer.equals(Buffer.concat([bytes, Buffer.from("!")])));
        assert.deepEqual(await proxying, { forth: LARGE_BYTES, back: LARGE_BYTES + 1 });
        outside.close();
        upstream.close();
      }));

    test("a socket is a source for Node's streams", () =>
      withPair(async (client, server) => {
        await client.writeAll("hello");
        await client.end();
        assert.equal(String(Buffer.concat(await toNodeReadable(server).toArray())), "hello");
      }));
  });
}
