/** Runs the case that its second argument names, in which a handler throws at a bad moment, and prints which exceptions were reported and what happened all the same. */

import type { DriverEvents, DriverName, DriverWake } from "../../src/driver/contract.js";
import { createDoorbell, ringDoorbell } from "../../src/driver/doorbell.js";
import { Peer } from "../support/peer.js";
import { Signal, turns } from "../support/signal.js";
import { childDriver } from "./child-driver.js";
import { pattern } from "./rig.js";

const thrown: string[] = [];
const events: string[] = [];
const slots: number[] = [];
const signal = new Signal();
const handlers: Partial<DriverEvents> = {};
const chunks: Buffer[] = [];

process.on("uncaughtException", (error) => {
  thrown.push(error.message);
  signal.notify();
});

const seesSleep = process.argv[2] !== "portable";
const isWakeCase = process.argv[3] === "wake";
const doorbell = isWakeCase ? createDoorbell(process.argv[2] as DriverName) : undefined;
/** What throws the next time that the driver calls it. */
const throwing = new Set<string>();
const hook = (name: string): void => {
  if (!throwing.delete(name)) return note(name, () => {});
  note(name, () => driver.reserve(slots.at(-1)!, 100));
  fail(name);
};
const wake: DriverWake | undefined = doorbell && {
  doorbell,
  rung: () => hook("rung"),
  idle: {
    prepare: () => {
      hook("prepare");
      return true;
    },
    resume: () => hook("resume"),
  },
};

const driver = childDriver(
  {
    accepted: (slot, listener) => {
      slots.push(slot);
      note(`accepted ${slot}`, () => handlers.accepted?.(slot, listener));
    },
    received(slot, bytes, offset, length) {
      chunks.push(Buffer.from(bytes.subarray(offset, offset + length)));
      signal.notify();
      handlers.received?.(slot, bytes, offset, length);
    },
    ended: (slot) => note(`ended ${slot}`, () => handlers.ended?.(slot)),
    drained: (slot) => note(`drained ${slot}`, () => handlers.drained?.(slot)),
    closed: (slot, errno) => note(`closed ${slot}`, () => handlers.closed?.(slot, errno)),
    turnEnded: () => handlers.turnEnded?.(),
  },
  wake,
);
const { port } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 16, reusePort: false });

const cases: Record<string, () => Promise<unknown>> = {
  /** Each delivery of held bytes throws. */
  async held() {
    const { peer, slot } = await open();
    let isResumed = false;
    handlers.received = () => {
      if (isResumed) throw new Error("received");
      driver.pause(slot);
    };
    const sent = pattern(30, 0, 31_000);
    peer.send(sent.subarray(0, 30_000));
    await signal.until("the first bytes", () => chunks.length > 0);
    await turns(30);
    isResumed = true;
    driver.resume(slot);
    await signal.until("the held bytes", () => receivedBytes() === 30_000);
    peer.send(sent.subarray(30_000));
    await signal.until("the other bytes", () => receivedBytes() === 31_000);
    peer.socket.end();
    await signal.until("the end", () => events.includes(`ended ${slot}`));
    driver.end(slot);
    await signal.until("closed", () => events.includes(`closed ${slot}`));
    await peer.ended();
    return { isWhole: Buffer.concat(chunks).equals(sent) };
  },

  /** The end of the peer comes behind the own end, and its event throws: at once, and when it was held. */
  async ended() {
    handlers.ended = () => fail("ended");
    for (const isPaused of [false, true]) {
      const { peer, slot } = await open();
      if (isPaused) driver.pause(slot);
      driver.end(slot);
      await peer.ended();
      const count = events.length;
      peer.socket.end();
      await turns(30);
      if (isPaused) driver.resume(slot);
      await signal.until("closed", () => events.indexOf(`closed ${slot}`, count) !== -1);
    }
    await turns(10);
    return {};
  },

  /** `drained` of one throws: that of the other is due in the same turn, and nothing else asks for a turn. */
  async drained() {
    handlers.drained = () => fail("drained");
    const first = await open();
    const second = await open();
    await turns(10);
    setTimeout(() => {
      driver.requestDrained(first.slot);
      driver.requestDrained(second.slot);
    }, 60);
    await signal.until("both", () => events.filter((event) => event.startsWith("drained")).length === 2);
    await turns(10);
    return {};
  },

  /** What the driver calls for its doorbell throws, with a reservation open; the next call of each is made all the same. */
  async wake() {
    const { peer, slot } = await open();
    for (const name of seesSleep ? ["rung", "prepare", "resume"] : ["rung"]) {
      throwing.add(name);
      ringDoorbell(doorbell!);
      await signal.until(name, () => thrown.includes(name));
      const count = events.length;
      await turns(10);
      ringDoorbell(doorbell!);
      // The ring may be heard before the driver sleeps; then something else has to end that sleep.
      const ticking = setInterval(() => undefined, 5);
      await signal.until(`${name} again`, () => events.includes(name, count));
      clearInterval(ticking);
    }
    send(slot, "alive");
    await peer.received(5);
    return { text: peer.text };
  },

  /** `drained` of one throws: bytes of the other wait for the same flush. */
  async flush() {
    handlers.drained = () => fail("drained");
    const first = await open();
    const second = await open();
    await turns(10);
    setTimeout(() => {
      driver.requestDrained(first.slot);
      send(second.slot, "flushed");
    }, 60);
    await second.peer.received(7);
    await turns(10);
    return { text: second.peer.text };
  },
};

/** By event: how to bring it about for `slot`. */
const provoked: Partial<Record<keyof DriverEvents, (peer: Peer, slot: number) => void>> = {
  accepted: () => {},
  received: (peer) => peer.send("x"),
  ended: (peer) => peer.socket.end(),
  drained: (_, slot) => driver.requestDrained(slot),
  turnEnded: (_, slot) => driver.requestDrained(slot),
};

/** The event throws between `reserve` and `commit`; then this connection and another send. */
for (const [name, provoke] of Object.entries(provoked)) {
  cases[`reserve-${name}`] = async () => {
    const other = await open();
    let slot = -1;
    const throwOnce = (): void => {
      delete handlers[name as keyof DriverEvents];
      if (driver.reserve(slot < 0 ? slots.at(-1)! : slot, 100) === -1) throw new Error("nothing was reserved");
      throw new Error(name);
    };
    if (name === "accepted") handlers.accepted = throwOnce;
    const opened = await open();
    slot = opened.slot;
    await turns(10);
    if (name !== "accepted") handlers[name as keyof DriverEvents] = throwOnce;
    provoke(opened.peer, slot);
    await signal.until("the exception", () => thrown.length > 0);
    send(other.slot, "other");
    send(slot, "same");
    await other.peer.received(5);
    await opened.peer.received(4);
    driver.close(slot);
    driver.close(other.slot);
    await signal.until("both to close", () => events.filter((event) => event.startsWith("closed")).length === 2);
    return { other: other.peer.text, same: opened.peer.text, writeBlocksNow: driver.stats.writeBlocksNow };
  };
}

const peers: Peer[] = [];
const outcome = await run();
for (const peer of peers) peer.socket.destroy();
await driver.shutdown();
process.stdout.write(JSON.stringify({ thrown, events, ...(outcome as object) }));

async function run(): Promise<unknown> {
  try {
    return await cases[process.argv[3]!]!();
  } catch (error) {
    // A case that fails must end the process, which the listener for uncaught exceptions would prevent.
    process.stderr.write(`${(error as Error).stack}\nevents: ${events.join(", ")}; thrown: ${thrown.join(", ")}\n`);
    process.exit(1);
  }
}

async function open(): Promise<{ peer: Peer; slot: number }> {
  const count = slots.length;
  const peer = await Peer.open(port);
  peers.push(peer);
  await signal.until("accepted", () => slots.length > count);
  return { peer, slot: slots[count]! };
}

function send(slot: number, text: string): void {
  const at = driver.reserve(slot, text.length);
  driver.writeBytes.set(Buffer.from(text), at);
  driver.commit(slot, text.length);
}

function receivedBytes(): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

function note(event: string, act: () => void): void {
  events.push(event);
  signal.notify();
  act();
}

function fail(message: string): never {
  throw new Error(message);
}
