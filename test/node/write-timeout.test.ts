/** Peers of Node's servers that take nothing of what waits for them: they may hold a part of the write pool for a while, and not all of it for ever. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import { connect, createServer as createNetServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { turns } from "../support/signal.js";
import { Diary, eventually, NodeRig } from "./rig.js";

const POOL_BYTES = 8 * 1024 * 1024;
const LARGE = Buffer.alloc(2 * POOL_BYTES, "ringloom ");
const GREEDY = 48;
const GET = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
/** Short, because a test waits for it. */
const SHORT_MS = 500;

async function deafPeers(port: number, count: number, request: string): Promise<Peer[]> {
  const peers = await Promise.all(Array.from({ length: count }, () => Peer.open(port)));
  for (const peer of peers) {
    peer.socket.pause();
    peer.send(request);
  }
  return peers;
}

for (const under of driversUnderTest) {
  describe(`write timeouts of NodeServer on the ${under.name} driver`, { skip: under.skip }, () => {
    const large: RequestListener = (incoming, response) => response.end(incoming.url === "/small" ? "small" : LARGE);

    test("peers that never read do not hold the write pool, and the others are answered", async () => {
      const rig = await NodeRig.startServer(under, createServer(large), {
        sizes: { writePoolBytes: POOL_BYTES },
        writeTimeoutMs: 0,
      });
      const peers = await deafPeers(rig.port, GREEDY, GET);
      await eventually("the requests", () => rig.node.stats.requests === GREEDY);
      // Each of these passes the pool, too.
      const answers = await Promise.all(
        Array.from({ length: 4 }, async () => (await (await fetch(`${rig.url}/large`)).arrayBuffer()).byteLength),
      );
      assert.deepEqual(answers, Array(4).fill(LARGE.length));
      assert.equal(await (await fetch(`${rig.url}/small`)).text(), "small");
      assert.equal(rig.node.driver.stats.writeStarved, 0);
      for (const peer of peers) peer.socket.destroy();
      await rig.close();
    });

    test("a peer that takes nothing is cut after writeTimeoutMs, and the program hears of it", async () => {
      const diary = new Diary();
      const server = createServer((incoming, response) => {
        response.on("close", () => diary.note("close"));
        incoming.socket.on("error", (error: NodeJS.ErrnoException) => diary.note(`error ${error.code}`));
        response.end(LARGE);
      });
      const rig = await NodeRig.startServer(under, server, { writeTimeoutMs: SHORT_MS });
      const peers = await deafPeers(rig.port, GREEDY, GET);
      await diary.until("error ETIMEDOUT", GREEDY);
      await diary.until("close", GREEDY);
      await eventually("the end of the connections", () => rig.node.stats.connectionsNow === 0);
      assert.equal(rig.node.stats.writeTimeouts, GREEDY);
      assert.equal(rig.node.driver.stats.writeBlocksNow, 0);
      for (const peer of peers) peer.socket.destroy();
      await rig.close();
    });

    test("a peer that takes nothing is cut although the program has ended and destroyed its socket", async () => {
      let accepted: Socket | undefined;
      const rig = await NodeRig.startServer(
        under,
        createNetServer((socket) => (accepted = socket)),
        {
          writeTimeoutMs: SHORT_MS,
        },
      );
      const peer = await Peer.open(rig.port);
      peer.socket.pause();
      await eventually("the connection", () => accepted !== undefined);
      // Until the kernel takes no more: what is left fits into the driver, so that the stream is finished.
      while (rig.node.driver.stats.writeBlocksNow === 0) {
        accepted?.write(Buffer.alloc(16 * 1024));
        await turns(10);
      }
      accepted?.end(() => accepted?.destroy());
      await eventually("the end of the stream", () => accepted?.closed === true);
      assert.deepEqual([rig.node.stats.connectionsNow, rig.node.stats.writeTimeouts], [1, 0]);
      await eventually("the cut", () => rig.node.stats.writeTimeouts === 1);
      await eventually("the end of the connection", () => rig.node.stats.connectionsNow === 0);
      assert.equal(rig.node.driver.stats.writeBlocksNow, 0);
      peer.socket.destroy();
      await rig.close();
    });

    test("a slow peer that takes something now and then gets everything", async () => {
      const rig = await NodeRig.startServer(
        under,
        createNetServer((socket) => socket.end(LARGE)),
        {
          sizes: { writePoolBytes: POOL_BYTES },
          writeTimeoutMs: 1_000,
        },
      );
      const socket: Socket = connect(rig.port, "127.0.0.1");
      socket.on("data", () => {
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      });
      let length = 0;
      socket.on("data", (chunk: Buffer) => (length += chunk.length));
      await new Promise((resolve) => socket.on("close", resolve));
      assert.equal(length, LARGE.length);
      assert.equal(rig.node.stats.writeTimeouts, 0);
      await rig.close();
    });

    test("an idle connection, and one that was written to and read, are left alone", async () => {
      const rig = await NodeRig.startServer(
        under,
        createNetServer((socket) => socket.write("hello")),
        {
          writeTimeoutMs: 20,
        },
      );
      const socket = connect(rig.port, "127.0.0.1");
      socket.resume();
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(rig.node.stats.connectionsNow, 1);
      assert.equal(rig.node.stats.writeTimeouts, 0);
      socket.destroy();
      await rig.close();
    });

    test("an impossible writeTimeoutMs is refused", () => {
      const start = (): Promise<unknown> => NodeRig.startServer(under, createServer(), { writeTimeoutMs: -1 });
      return assert.rejects(start(), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    });
  });
}
