/** Clients that do not read fill the write pool: the others wait for room, and the thread does not spin meanwhile. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { App, type WebSocket } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { SocketServer } from "../support/test-server.js";
import { RawClient } from "../ws/raw-client.js";

const KIB = 1024;
const POOL_BYTES = 512 * KIB;
const BLOCKS = POOL_BYTES / (64 * KIB);
const SILENT_MAX = 20;
const PIECE = Buffer.alloc(65_000, "x");
/** Turns in the time below: an idle server has next to none, one that spins thousands. */
const TURNS_MAX = 500;
const WATCHED_MS = 100;

for (const driver of driversUnderTest) {
  describe(`A full write pool on the ${driver.name} driver`, { skip: driver.skip, timeout: 60_000 }, () => {
    let server: SocketServer;
    let silent: Peer[];
    let goOn = (): void => {};
    let socket: WebSocket | undefined;
    let drained = 0;
    let whenDrained = (): unknown => undefined;

    before(async () => {
      const app = new App();
      app.get("/endless", (c) => c.stream(endless()));
      app.get("/in-parts", (c) => c.stream(parts()));
      app.ws("/ws", {
        open: (ws) => {
          socket = ws;
        },
        drain: () => {
          drained += 1;
          whenDrained();
        },
      });
      const sizes = { writePoolBytes: POOL_BYTES };
      server = await SocketServer.start(driver, app, { sizes, limits: { writeTimeoutMs: 0 } });
    });
    after(() => server.close());

    async function* parts(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("begin");
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      yield PIECE;
      yield Buffer.from("end");
    }

    /** Has clients come that do not read, until so many blocks of the pool are taken. What the kernel takes last leaves each with one or two. */
    async function fill(blocks = BLOCKS): Promise<void> {
      silent = [];
      while (silent.length < SILENT_MAX && (await still()) < blocks) await comeSilently();
      // The kernel may take a little more later: these wait for that room.
      if (blocks === BLOCKS) for (let more = 0; more < 3; more++) await comeSilently();
      await still();
    }

    async function comeSilently(): Promise<void> {
      const peer = await Peer.open(server.port);
      peer.socket.pause();
      peer.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
      silent.push(peer);
    }

    /** Resolves when nothing moves any more, to the blocks that are taken. */
    async function still(): Promise<number> {
      for (let same = 0, sent = -1; same < 10; sent = server.driver.stats.sentBytes) {
        await setTimeout(10);
        same = server.driver.stats.sentBytes === sent ? same + 1 : 0;
      }
      return server.driver.stats.writeBlocksNow;
    }

    async function watchTurns(): Promise<void> {
      const before = server.driver.stats.turns;
      await setTimeout(WATCHED_MS);
      const turns = server.driver.stats.turns - before;
      assert.ok(turns < TURNS_MAX, `${turns} turns while nothing happened`);
    }

    function leave(): void {
      for (const peer of silent) peer.socket.destroy();
    }

    async function empty(): Promise<void> {
      leave();
      await server.settle();
      assert.equal(server.leftover(), undefined);
    }

    test("an answer that is under way waits, and goes on when there is room", async () => {
      const client = await Peer.open(server.port);
      client.send("GET /in-parts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      await client.signal.until("the first part", () => client.text.includes("begin"));
      await fill();
      goOn();
      await watchTurns();
      assert.ok(!client.text.includes("end"), "there was no room");
      leave();
      await client.signal.until("the rest", () => client.text.includes("\r\nend\r\n0\r\n\r\n"));
      client.socket.destroy();
      await empty();
    });

    test("the answer to a ping waits, and so does a program that sends again whenever it is told to", async () => {
      const client = await RawClient.open(server.port, "/ws");
      await fill();
      assert.equal(socket?.send("no room"), "dropped");
      whenDrained = () => socket?.send(PIECE);
      client.send({ opcode: 9, payload: "are you there" });
      await watchTurns();
      assert.deepEqual(client.frames, []);
      whenDrained = () => undefined;
      const before = drained;
      leave();
      const frames = await client.received(1);
      assert.deepEqual([frames[0]?.opcode, frames[0]?.payload.toString()], [10, "are you there"]);
      await client.peer.signal.until("drain()", () => drained > before);
      client.end();
      await empty();
    });

    test("a message for which there is no room as a whole is dropped, and its socket lives on", async () => {
      const client = await RawClient.open(server.port, "/ws");
      // Its first block has room, the others have none.
      await fill(BLOCKS - 3);
      assert.ok(server.driver.stats.writeBlocksNow < BLOCKS, "there is room for a block");
      assert.equal(socket?.send(Buffer.alloc(320 * KIB)), "dropped");
      assert.equal(socket?.send("small"), "sent");
      await client.received(1);
      assert.deepEqual(client.texts, ["small"]);
      client.end();
      await empty();
    });
  });
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield PIECE;
}
