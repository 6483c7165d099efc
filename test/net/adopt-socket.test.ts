/** Sockets of node:net that go on as streams. `RINGLOOM_DRIVER` says on which driver. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { describe, test } from "node:test";
import { TLSSocket } from "node:tls";
import { loadNative } from "../../src/native.js";
import { adoptSocket, listen, type NetStream } from "../../src/net/index.js";
import { within } from "../support/signal.js";
import { until } from "./net-rig.js";

const skip = loadNative() === undefined && "descriptors need the addon";

async function withSocket(body: (socket: Socket, peer: NetStream) => Promise<void>): Promise<void> {
  const listener = await listen({ port: 0 });
  const socket = createConnection(listener.port, "127.0.0.1");
  socket.on("error", () => {});
  const [peer] = await Promise.all([listener.accept(), once(socket, "connect")]);
  try {
    await within("the body of the test", body(socket, peer));
  } finally {
    socket.destroy();
    peer.destroy();
    await within("the listener to close", listener.close());
  }
}

describe("adoptSocket()", { skip, timeout: 60_000 }, () => {
  test("goes on with the connection, and with what the socket had read ahead", async () => {
    await withSocket(async (socket, peer) => {
      socket.setEncoding("utf8");
      await peer.writeAll("read ahead: é");
      await until("the socket to read ahead", () => {
        socket.read(0);
        return socket.readableLength > 0;
      });
      const stream = adoptSocket(socket, { keepAlive: true });
      assert.ok(socket.destroyed);
      await once(socket, "close");
      await peer.writeAll("; and on");
      assert.equal((await stream.readExact(22)).toString(), "read ahead: é; and on");
      await stream.writeAll("back");
      assert.equal((await peer.readExact(4)).toString(), "back");
      stream.close();
      assert.equal(await peer.read(), undefined);
    });
  });

  test("refuses what cannot go on, and leaves that socket whole", async () => {
    await withSocket(async (socket, peer) => {
      assert.throws(() => adoptSocket(socket, { keepAliveIdleMs: -1 }), RangeError);
      while (socket.write(Buffer.alloc(1_000_000)));
      assert.throws(() => adoptSocket(socket), { code: "ERR_RINGLOOM_BUSY" });
      let count = 0;
      while (count < socket.bytesWritten) count += (await peer.read())?.length ?? Number.POSITIVE_INFINITY;
      await until("what was written to leave", () => socket.writableLength === 0);
      await new Promise<void>((resolve, reject) => socket.write("!", (error) => (error ? reject(error) : resolve())));
      assert.equal((await peer.readExact(1)).toString(), "!");
      socket.end();
      assert.throws(() => adoptSocket(socket), { code: "ERR_RINGLOOM_CLOSED" });
      socket.destroy();
      assert.throws(() => adoptSocket(socket), { code: "ERR_RINGLOOM_CLOSED" });
    });
    await withSocket(async (socket) => {
      const secure = new TLSSocket(socket);
      secure.on("error", () => {});
      assert.throws(() => adoptSocket(secure), { code: "ERR_RINGLOOM_UNSUPPORTED" });
      secure.destroy();
    });
  });
});
