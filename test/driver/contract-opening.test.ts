/** The contract suite, part 4: listening, connecting, adopting, full tables, the order of stopping. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import { constants } from "node:os";
import { describe, test } from "node:test";
import { LISTENERS_MAX } from "../../src/constants.js";
import type { RingloomError } from "../../src/errors.js";
import { requireNative } from "../../src/native.js";
import { AF_INET } from "../../src/uapi.js";
import { driverVariants } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { turns } from "../support/signal.js";
import { pattern, withRig } from "./rig.js";
import { runChild } from "./run-child.js";

const { ECONNREFUSED, EMFILE } = constants.errno;
const ANY_PORT = { host: "127.0.0.1", port: 0, backlog: 16, reusePort: false };

const canUseIpv6 = await hasIpv6();

for (const under of driverVariants) {
  describe(`Driver ${under.label}, opening`, { skip: under.skip, timeout: 300_000 }, () => {
    test("listen() says where, and each listener has its own number", async () => {
      await withRig(under, {}, async (rig) => {
        const other = await rig.driver.listen(ANY_PORT);
        assert.equal(other.host, "127.0.0.1");
        assert.ok(other.port > 0 && other.port !== rig.port);
        assert.notEqual(other.listener, rig.listener);
        const listeners: number[] = [];
        rig.handlers.accepted = (_, listener) => listeners.push(listener);
        await rig.open();
        rig.port = other.port;
        await rig.open();
        assert.deepEqual(listeners, [rig.listener, other.listener]);
      });
    });

    test("listen() works over IPv6", { skip: !canUseIpv6 && "this machine has no IPv6 loopback address" }, async () => {
      await withRig(under, {}, async (rig) => {
        const { host, port } = await rig.driver.listen({ ...ANY_PORT, host: "::1" });
        assert.equal(host, "::1");
        const slot = rig.driver.connect("::1", port);
        rig.track(slot);
        await rig.signal.until(
          "both sides",
          () => rig.lives.length === 2 && rig.lives.every((life) => life.events.length > 0),
        );
        assert.deepEqual(rig.driver.peerAddress(slot), { host: "::1", port });
      });
    });

    test("listen() accepts on a descriptor, which stays open exactly where the contract says so", {
      skip: process.platform === "win32" && "descriptors of sockets cannot be inherited on Windows",
    }, async () => {
      const server = createServer();
      const port = await listenAnywhere(server);
      let text = "";
      const meet = async (): Promise<void> => {
        const peer = await Peer.open(port);
        await peer.ended();
        text = peer.text;
        peer.socket.destroy();
      };
      const outcome = await runChild("listen-child.js", under.name, { third: server, meet });
      assert.equal(text, "hi");
      assert.deepEqual(outcome, { host: "127.0.0.1", port, isOpen: under.name !== "portable" });
    });

    test("listen() shares a port when reusePort is asked for, or says that this Node cannot", async () => {
      await withRig(under, {}, async (rig) => {
        const first = await rig.driver.listen({ ...ANY_PORT, reusePort: true }).catch((error: RingloomError) => error);
        if (first instanceof Error) {
          assert.equal(under.name, "portable");
          assert.equal(first.code, "ERR_RINGLOOM_INVALID_OPTION");
          assert.ok(!canReusePort());
          return;
        }
        const second = await rig.driver.listen({ ...ANY_PORT, port: first.port, reusePort: true });
        assert.equal(second.port, first.port);
        await assert.rejects(rig.driver.listen({ ...ANY_PORT, port: first.port }), { code: "EADDRINUSE" });
      });
    });

    test("listen() rejects with EADDRINUSE when the port is taken, and leaves nothing behind", async () => {
      await withRig(under, {}, async (rig) => {
        await assert.rejects(rig.driver.listen({ ...ANY_PORT, port: rig.port }), {
          code: "EADDRINUSE",
          operation: "listen",
        });
        await rig.open();
      });
    });

    test("listen() rejects what is no port and no descriptor", async () => {
      await withRig(under, {}, async (rig) => {
        for (const port of [-1, 65536, 1.5, Number.NaN])
          await assert.rejects(rig.driver.listen({ ...ANY_PORT, port }), RangeError);
        await assert.rejects(rig.driver.listen(-1), RangeError);
      });
    });

    test("listen() rejects with EINVAL when the descriptor is a connected socket", {
      skip: process.platform === "win32" && "descriptors of sockets cannot be inherited on Windows",
    }, async () => {
      const echo = await startEcho();
      const third = connectSocket(echo.port, "127.0.0.1");
      await once(third, "connect");
      const outcome = await runChild("refused-descriptor-child.js", under.name, { third });
      assert.deepEqual(outcome, { code: "EINVAL", operation: "listen" });
      await echo.close();
    });

    test("listen() rejects with EINVAL when the descriptor is a socket that does not listen", {
      skip: under.name === "portable" && "node:net calls listen(2) on what it is given",
    }, async () => {
      const descriptor = requireNative().openSocket(AF_INET, 1);
      await withRig(under, {}, async (rig) => {
        await assert.rejects(rig.driver.listen(descriptor), { code: "EINVAL", operation: "listen" });
        await rig.open();
      });
      assert.equal(requireNative().closeDescriptor(descriptor), 0, "the descriptor is still the caller's");
    });

    test("stopListening() ignores the numbers of listeners that have stopped, however many came since", async () => {
      await withRig(under, {}, async (rig) => {
        const stopped: number[] = [];
        for (let round = 0; round <= LISTENERS_MAX; round++) {
          const { listener, port } = await rig.driver.listen(ANY_PORT);
          for (const old of stopped) rig.driver.stopListening(old);
          await turns(2);
          assert.deepEqual(rig.stoppedListeners, stopped);
          if (round % 8 === 0) {
            rig.port = port;
            const { peer, life } = await rig.open();
            peer.socket.destroy();
            rig.driver.close(life.slot);
            await rig.closedLife(life);
          }
          rig.driver.stopListening(listener);
          await rig.signal.until("the listener to stop", () => rig.stoppedListeners.length > stopped.length);
          stopped.push(listener);
        }
        assert.deepEqual(rig.stoppedListeners, stopped);
      });
    });

    test("stopListening() delivers those who wait in the queue, then listenerStopped(), then nobody can connect", async () => {
      await withRig(under, {}, async (rig) => {
        const peers = Array.from({ length: 40 }, () => rig.start());
        // node:net calls connect(2) in the next tick; the kernel then completes the handshake on loopback at once.
        await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
        let acceptedAtStop = -1;
        rig.handlers.listenerStopped = () => (acceptedAtStop = rig.lives.length);
        rig.driver.stopListening(rig.listener);
        rig.driver.stopListening(rig.listener);
        await rig.signal.until("the listener to stop", () => rig.stoppedListeners.length > 0);
        assert.equal(acceptedAtStop, 40);
        const late = rig.start();
        await late.closed();
        assert.equal(late.errorCode, "ECONNREFUSED");
        for (const [index, peer] of peers.entries()) peer.send(`I am ${index}`);
        await rig.signal.until("all to be heard", () => rig.lives.every((life) => life.receivedBytes >= 6));
        assert.ok(peers.every((peer) => peer.errorCode === undefined));
        rig.driver.stopListening(rig.listener);
        rig.driver.stopListening(12345);
        await turns(5);
        assert.deepEqual(rig.stoppedListeners, [rig.listener]);
      });
    });

    test("stopListening() inside accepted() still delivers the others", async () => {
      await withRig(under, {}, async (rig) => {
        rig.handlers.accepted = () => rig.driver.stopListening(rig.listener);
        const peers = Array.from({ length: 10 }, () => rig.start());
        await rig.signal.until("the listener to stop", () => rig.stoppedListeners.length > 0);
        await Promise.all(
          peers.map((peer) => peer.signal.until("an outcome", () => peer.isConnected || peer.isClosed)),
        );
        const connected = peers.filter((peer) => peer.isConnected);
        assert.equal(rig.lives.length, connected.length);
      });
    });

    test("a full slot table turns peers away, counts them, and recovers", async () => {
      await withRig(under, { connectionsMax: 2 }, async (rig) => {
        const first = await rig.open();
        await rig.open();
        const refused = [rig.start(), rig.start(), rig.start()];
        await Promise.all(refused.map((peer) => peer.ended()));
        assert.equal(rig.lives.length, 2);
        assert.equal(rig.driver.stats.rejected, 3);
        assert.equal(rig.driver.stats.accepted, 2);
        assert.equal(rig.driver.connect("127.0.0.1", rig.port), -1);
        rig.driver.close(first.life.slot);
        await rig.closedLife(first.life);
        const again = await rig.open();
        again.peer.send("in");
        await rig.receivedBytes(again.life, 2);
      });
    });

    test("connect() is answered by connected() with 0, and both sides work", async () => {
      const echo = await startEcho();
      await withRig(under, {}, async (rig) => {
        const slot = rig.driver.connect("127.0.0.1", echo.port);
        assert.ok(slot >= 0);
        const life = rig.track(slot);
        assert.equal(rig.driver.reserve(slot, 1), -1, "nothing can be sent before connected()");
        rig.handlers.connected = (_, errno) => {
          assert.equal(errno, 0);
          assert.equal(rig.send(slot, pattern(20, 0, 300_000)), 300_000);
        };
        await rig.receivedBytes(life, 300_000);
        assert.equal(Buffer.concat(life.received).equals(pattern(20, 0, 300_000)), true);
        assert.deepEqual(rig.driver.peerAddress(slot), { host: "127.0.0.1", port: echo.port });
        rig.driver.end(slot);
        await rig.closedLife(life);
        assert.deepEqual(life.events, ["connected", "received", "ended", "closed"]);
        assert.equal(rig.driver.stats.accepted, 0);
      });
      await echo.close();
    });

    test("connected() has the error and closed() follows when nobody listens", async () => {
      const port = await unusedPort();
      await withRig(under, {}, async (rig) => {
        let errno = -1;
        rig.handlers.connected = (slot, error) => {
          errno = error;
          assert.equal(rig.driver.reserve(slot, 1), -1);
        };
        const life = rig.track(rig.driver.connect("127.0.0.1", port));
        await rig.closedLife(life);
        assert.equal(errno, ECONNREFUSED);
        assert.equal(life.errno, ECONNREFUSED);
        assert.deepEqual(life.events, ["connected", "closed"]);
      });
    });

    for (const closeName of ["close", "closeAfterFlush"] as const) {
      test(`${closeName}() before connected() leaves only closed()`, async () => {
        const echo = await startEcho();
        const refusing = await unusedPort();
        await withRig(under, {}, async (rig) => {
          for (const port of [echo.port, refusing]) {
            const life = rig.track(rig.driver.connect("127.0.0.1", port));
            rig.driver[closeName](life.slot);
            await rig.closedLife(life);
            assert.equal(life.errno, 0);
            assert.deepEqual(life.events, ["closed"]);
          }
        });
        await echo.close();
      });
    }

    test("end() before connected() sends the end behind it, and reserve() stays -1", async () => {
      const echo = await startEcho();
      await withRig(under, {}, async (rig) => {
        let errno = -1;
        rig.handlers.connected = (slot, error) => {
          errno = error;
          assert.equal(rig.driver.reserve(slot, 4), -1);
        };
        const life = rig.track(rig.driver.connect("127.0.0.1", echo.port));
        rig.driver.end(life.slot);
        await rig.hasEvent(life, "connected");
        assert.equal(rig.driver.reserve(life.slot, 4), -1);
        // The echo ends when it has seen the end.
        await rig.closedLife(life);
        assert.equal(errno, 0);
        assert.equal(life.errno, 0);
        assert.deepEqual(life.events, ["connected", "ended", "closed"]);
      });
      await echo.close();
    });

    test("end() before connected() changes nothing when nobody listens", async () => {
      const port = await unusedPort();
      await withRig(under, {}, async (rig) => {
        const life = rig.track(rig.driver.connect("127.0.0.1", port));
        rig.driver.end(life.slot);
        await rig.closedLife(life);
        assert.equal(life.errno, ECONNREFUSED);
        assert.deepEqual(life.events, ["connected", "closed"]);
      });
    });

    test("pause() before connected() holds a fast sender back, and resume() delivers everything in order", async () => {
      const whole = pattern(31, 0, 16 * 1024 * 1024);
      const server = createServer((socket) => socket.on("error", () => {}).end(whole));
      const port = await listenAnywhere(server);
      await withRig(under, {}, async (rig) => {
        const life = rig.track(rig.driver.connect("127.0.0.1", port));
        rig.driver.pause(life.slot);
        await rig.hasEvent(life, "connected");
        await turns(300);
        assert.deepEqual(life.events, ["connected"]);
        assert.ok(rig.driver.stats.receivedBytes < 4 * 1024 * 1024, `${rig.driver.stats.receivedBytes} bytes are held`);
        rig.driver.resume(life.slot);
        await rig.hasEvent(life, "ended");
        assert.deepEqual(life.events, ["connected", "received", "ended"]);
        assert.equal(Buffer.concat(life.received).equals(whole), true);
        rig.driver.end(life.slot);
        await rig.closedLife(life);
      });
      await closeServer(server);
    });

    test("connected() says EMFILE and closed() follows when the process is out of descriptors", {
      skip: process.platform === "win32" && "there is no limit of descriptors on Windows",
    }, async () => {
      const echo = await startEcho();
      const setup = { args: [String(echo.port)], descriptorsMax: 256 };
      const outcome = await runChild("no-descriptors-child.js", under.name, setup);
      const events = [`connected ${EMFILE}`, `closed ${EMFILE}`, "connected 0", "closed 0"];
      assert.deepEqual(outcome, { events, connectionsNow: 0 });
      await echo.close();
    });

    test("connect() throws for what is no address", async () => {
      await withRig(under, {}, async (rig) => {
        for (const host of ["", "localhost", "1.2.3", "::zz"])
          assert.throws(() => rig.driver.connect(host, 80), TypeError);
        for (const port of [0, -1, 65536, 1.5]) assert.throws(() => rig.driver.connect("127.0.0.1", port), RangeError);
        assert.equal(rig.driver.stats.connectionsNow, 0);
      });
    });

    test("connections to itself: 50 out and 50 in, on one driver", async () => {
      await withRig(under, { connectionsMax: 128 }, async (rig) => {
        const out = Array.from({ length: 50 }, () => rig.track(rig.driver.connect("127.0.0.1", rig.port)));
        rig.handlers.received = (slot, bytes, offset, length) => {
          if (out.some((life) => life.slot === slot)) return;
          rig.send(slot, bytes.subarray(offset, offset + length));
        };
        rig.handlers.connected = (slot) => rig.send(slot, `from ${slot}`);
        await rig.signal.until("every echo", () =>
          out.every((life) => Buffer.concat(life.received).toString() === `from ${life.slot}`),
        );
        for (const life of out) rig.driver.close(life.slot);
        await rig.signal.until("the others to see the end", () =>
          rig.lives.every((life) => life.isClosed || life.events.includes("ended")),
        );
      });
    });

    test("adopt() makes a connection of a descriptor", {
      skip: process.platform === "win32" && "a child's pipe is no socket on Windows",
    }, async () => {
      const meet = (socket: Socket): void => {
        socket.write("ping");
        socket.once("data", (chunk) => socket.end(`${chunk.toString()} done`));
      };
      const outcome = await runChild("adopt-child.js", under.name, { meet });
      const { events, badDescriptor } = outcome as { events: string[]; badDescriptor: string };
      assert.deepEqual(events, ["received ping", "received PING done", "ended", "closed 0"]);
      assert.ok(badDescriptor === "EBADF" || badDescriptor === "EINVAL", `a closed descriptor gives ${badDescriptor}`);
    });

    test("exceptions of handlers are reported and every other event is delivered", async () => {
      const outcome = await runChild("throwing-child.js", under.name);
      const { thrown, seen, received } = outcome as { thrown: string[]; seen: string[]; received: string };
      for (const name of [
        "accepted",
        "connected",
        "received",
        "ended",
        "drained",
        "closed",
        "listenerStopped",
        "turnEnded",
        "nop",
        "timeout",
        "readAt",
      ]) {
        assert.ok(thrown.includes(name), `the exception of ${name} was reported; reported were ${thrown.join(" ")}`);
      }
      assert.equal(received, "abcdefghij");
      assert.deepEqual([...new Set(seen)].sort(), [...seen].sort(), "each one-time event came once");
    });

    test("every held byte is delivered when received() throws at each of them", async () => {
      const outcome = await runThrowing("held", under.name);
      assert.equal(outcome.isWhole, true);
      assert.ok(outcome.thrown.length > 0 && outcome.thrown.every((message) => message === "received"));
      assert.deepEqual(outcome.events, ["accepted 0", "ended 0", "closed 0"]);
    });

    test("closed() comes once when ended() throws behind end(), also when the end was held", async () => {
      const { thrown, events } = await runThrowing("ended", under.name);
      assert.deepEqual(thrown, ["ended", "ended"]);
      const names = events.map((event) => event.split(" ")[0]);
      assert.deepEqual(names, ["accepted", "ended", "closed", "accepted", "ended", "closed"]);
    });

    test("every other drained() comes when one throws", async () => {
      const { thrown, events } = await runThrowing("drained", under.name);
      assert.deepEqual(thrown, ["drained", "drained"]);
      assert.deepEqual(events.slice(2, 4).sort(), ["drained 0", "drained 1"]);
    });

    test("every commit leaves when a drained() before it throws", async () => {
      const { thrown, text } = await runThrowing("flush", under.name);
      assert.deepEqual(thrown, ["drained"]);
      assert.equal(text, "flushed");
    });

    test("rung(), prepare() and resume() that throw are reported, and called again", async () => {
      const { thrown, text } = await runThrowing("wake", under.name);
      const expected = under.name === "portable" ? ["rung"] : ["rung", "prepare", "resume"];
      assert.deepEqual({ thrown, text }, { thrown: expected, text: "alive" });
    });

    for (const eventName of ["accepted", "received", "ended", "drained", "turnEnded"]) {
      test(`a reservation is given up when ${eventName}() throws before its commit`, async () => {
        const { thrown, other, same, writeBlocksNow } = await runThrowing(`reserve-${eventName}`, under.name);
        assert.deepEqual(
          { thrown, other, same, writeBlocksNow },
          {
            thrown: [eventName],
            other: "other",
            same: "same",
            writeBlocksNow: 0,
          },
        );
      });
    }

    test("an unreferenced driver lets its process end", async () => {
      assert.deepEqual(await runChild("unref-child.js", under.name), { listening: true, heldByRef: true });
    });

    test("an unreferenced driver ends what it was told to end", async () => {
      assert.deepEqual(await runChild("unref-stop-child.js", under.name), ["stopped", "shut down"]);
    });
  });
}

async function startEcho(): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => {}).pipe(socket));
  const port = await listenAnywhere(server);
  return { port, close: () => closeServer(server) };
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listenAnywhere(server);
  await closeServer(server);
  return port;
}

async function listenAnywhere(server: Server, host = "127.0.0.1"): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function closeServer(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}

async function hasIpv6(): Promise<boolean> {
  const server = createServer();
  try {
    await listenAnywhere(server, "::1");
    await closeServer(server);
    return true;
  } catch {
    return false;
  }
}

/** Whether node:net has `reusePort` on this platform: since 22.12 and 23.1, on Linux. */
function canReusePort(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return process.platform === "linux" && (major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12));
}

interface ThrowingOutcome {
  readonly thrown: string[];
  readonly events: string[];
  readonly isWhole?: boolean;
  readonly text?: string;
  readonly other?: string;
  readonly same?: string;
  readonly writeBlocksNow?: number;
}

async function runThrowing(caseName: string, driver: string): Promise<ThrowingOutcome> {
  return (await runChild("throwing-case-child.js", driver, { args: [caseName] })) as ThrowingOutcome;
}
