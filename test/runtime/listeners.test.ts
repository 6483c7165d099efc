import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { loadNative, nativeProblem, requireNative } from "../../src/native.js";
import { Listeners } from "../../src/runtime/listeners.js";

const NATIVE = { skip: loadNative() === undefined ? (nativeProblem() ?? "no addon") : false };

async function open(count: number, port = 0, reusePort = false): Promise<{ listeners: Listeners; port: number }> {
  const listeners = await Listeners.open({ host: "127.0.0.1", port, backlog: 512, count, reusePort });
  const target = listeners.targetFor(0);
  assert.ok(typeof target === "number");
  const name = requireNative().socketName(target);
  assert.ok(typeof name !== "number");
  return { listeners, port: name.port };
}

async function dial(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  return sockets;
}

/** Accepts and closes whoever waits; how many there were. */
function taken(listeners: Listeners, shard: number): number {
  const descriptors = listeners.takeWaiting(shard);
  for (const descriptor of descriptors) requireNative().closeDescriptor(descriptor);
  return descriptors.length;
}

function hangUp(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

test("Listeners.steerTo() gives new connections to the named shards only, and to all again", NATIVE, async () => {
  const { listeners, port } = await open(3);
  listeners.steerTo([0, 2]);
  const first = await dial(port, 90);
  const [zero, one, two] = [0, 1, 2].map((shard) => taken(listeners, shard));
  assert.equal(one, 0, "shard 1 is passed over");
  assert.ok(zero !== undefined && two !== undefined && zero > 0 && two > 0 && zero + two === 90);
  listeners.steerTo([0, 1, 2]);
  const second = await dial(port, 90);
  assert.ok([0, 1, 2].every((shard) => taken(listeners, shard) > 0));
  hangUp([...first, ...second]);
  listeners.closeAll();
});

test(
  "Listeners.open() leaves no moment in which a second server could join a port of several sockets",
  NATIVE,
  async () => {
    const native = requireNative();
    // What the first of two starts has done when the second one comes: one socket of several.
    const first = native.listenSocket("127.0.0.1", 0, 16, 2);
    assert.ok(typeof first !== "number");
    await assert.rejects(open(2, first.port), { code: "EADDRINUSE" });
    const own = native.listenSocket("127.0.0.1", first.port, 16, 1);
    assert.ok(typeof own !== "number", "its own further sockets do join");
    await assert.rejects(open(2, first.port), { code: "EADDRINUSE" });
    native.closeDescriptor(first.fd);
    native.closeDescriptor(own.fd);
  },
);

test(
  "Listeners.turnAway() sends new connections to a later server on the port, and closeAll() leaves it in order",
  NATIVE,
  async () => {
    const old = await open(2, 0, true);
    const waiting = await dial(old.port, 10);
    const successor = await open(2, old.port, true);
    assert.equal(old.listeners.turnAway(), true);
    const late = await dial(old.port, 60);
    assert.equal(taken(successor.listeners, 0) + taken(successor.listeners, 1), 60);
    let rescued = 0;
    old.listeners.closeAll((_, descriptors) => {
      rescued += descriptors.length;
      for (const descriptor of descriptors) requireNative().closeDescriptor(descriptor);
    });
    assert.equal(rescued, 10, "who waited was accepted before the sockets closed");
    const afterwards = await dial(old.port, 60);
    assert.ok(
      [0, 1].every((shard) => taken(successor.listeners, shard) > 0),
      "both sockets get connections",
    );
    hangUp([...waiting, ...late, ...afterwards]);
    successor.listeners.closeAll();
  },
);

test(
  "Listeners.turnAway() holds new connections back where the kernel allows it, and resets nobody",
  NATIVE,
  async (t) => {
    const { listeners, port } = await open(1);
    if (!listeners.turnAway()) {
      listeners.closeAll();
      return t.skip("attaching a filter needs CAP_NET_ADMIN here");
    }
    const socket = connect(port, "127.0.0.1");
    const outcome = new Promise<string | undefined>((resolve) => {
      socket.once("connect", () => resolve("connected"));
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(taken(listeners, 0), 0);
    listeners.closeAll();
    assert.equal(await outcome, "ECONNREFUSED", "its second attempt finds a closed port");
    socket.destroy();
  },
);
