/** The contract suite, part 7: Unix sockets, our own address, options of TCP. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectNode } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { driverVariants } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { withRig } from "./rig.js";

const { ENOENT, ECONNREFUSED } = constants.errno;
const folder = mkdtempSync(join(tmpdir(), "ringloom-unix-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let paths = 0;

function newPath(): string {
  paths += 1;
  return join(folder, `s${paths}`);
}

for (const under of driverVariants) {
  const skip = under.skip || (process.platform === "win32" && "Windows has named pipes instead");
  describe(`Driver ${under.label}, Unix sockets`, { skip, timeout: 60_000 }, () => {
    for (const [kind, name] of [
      ["a path", newPath],
      ["an abstract name", () => `\0ringloom-${process.pid}-${++paths}`],
    ] as const) {
      const isMissing = kind === "an abstract name" && process.platform !== "linux" && "abstract names are Linux's";
      test(`connectPath() and listen() meet at ${kind}`, { skip: isMissing }, async () => {
        const path = name();
        await withRig(under, {}, async (rig) => {
          const { host, port, path: at, listener } = await rig.driver.listen({ path, backlog: 16 });
          assert.deepEqual({ host, port, at }, { host: "", port: 0, at: path });
          const client = rig.track(rig.driver.connectPath(path));
          assert.equal(rig.driver.reserve(client.slot, 1), -1, "nothing can be sent before connected()");
          await rig.signal.until("both sides", () => rig.lives.length === 2 && client.events.length > 0);
          const server = rig.lives[1]!;
          assert.deepEqual([client.events, server.events], [["connected"], ["accepted"]]);
          assert.equal(rig.send(client.slot, "to the server"), 13);
          await rig.receivedBytes(server, 13);
          rig.driver.setNoDelay(client.slot, true);
          assert.equal(rig.send(server.slot, "to the client"), 13);
          await rig.receivedBytes(client, 13);
          assert.equal(rig.driver.peerAddress(client.slot), undefined);
          assert.equal(rig.driver.localAddress(server.slot), undefined);
          rig.driver.end(client.slot);
          rig.driver.end(server.slot);
          await rig.closedLife(client);
          await rig.closedLife(server);
          assert.deepEqual([client.errno, server.errno], [0, 0]);
          rig.driver.stopListening(listener);
          await rig.signal.until("the listener to stop", () => rig.stoppedListeners.includes(listener));
        });
      });
    }

    test("listen() at a path accepts others' sockets, and rejects where somebody is bound", async () => {
      const path = newPath();
      await withRig(under, {}, async (rig) => {
        await rig.driver.listen({ path, backlog: 16 });
        const peer = new Peer(connectNode({ path, allowHalfOpen: true }));
        peer.send("hello");
        await rig.signal.until("the connection", () => (rig.lives[0]?.receivedBytes ?? 0) === 5);
        await assert.rejects(rig.driver.listen({ path, backlog: 16 }), { code: "EADDRINUSE" });
        peer.socket.destroy();
      });
    });

    test("connectPath() to nobody says so in connected()", async () => {
      const file = newPath();
      writeFileSync(file, "");
      await withRig(under, {}, async (rig) => {
        const errnos: number[] = [];
        rig.handlers.connected = (_, errno) => errnos.push(errno);
        const missing = rig.track(rig.driver.connectPath(join(folder, "nobody")));
        await rig.closedLife(missing);
        const noSocket = rig.track(rig.driver.connectPath(file));
        await rig.closedLife(noSocket);
        assert.deepEqual(errnos[0], ENOENT);
        // Linux: a file that is no socket refuses; elsewhere it is "not a socket".
        if (process.platform === "linux") assert.equal(errnos[1], ECONNREFUSED);
        else assert.ok(errnos[1]! > 0);
      });
    });

    test("connectPath() and listen() throw a TypeError for what cannot be a path", async () => {
      await withRig(under, {}, async (rig) => {
        for (const path of ["", "\0", "a\0b", "x".repeat(108), undefined as never]) {
          assert.throws(() => rig.driver.connectPath(path), TypeError);
          await assert.rejects(rig.driver.listen({ path, backlog: 1 }), TypeError);
        }
      });
    });

    test("localAddress() is our own end of a TCP connection, and the options of TCP do no harm", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        assert.deepEqual(rig.driver.localAddress(life.slot), { host: "127.0.0.1", port: rig.port });
        rig.driver.setNoDelay(life.slot, false);
        rig.driver.setNoDelay(life.slot, true);
        rig.driver.setKeepAlive(life.slot, true, 30);
        rig.driver.setKeepAlive(life.slot, false, 0);
        peer.send("x");
        await rig.receivedBytes(life, 1);
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        assert.equal(rig.driver.localAddress(life.slot), undefined);
        rig.driver.setNoDelay(life.slot, true);
        rig.driver.setKeepAlive(life.slot, true, 30);
      });
    });
  });
}
