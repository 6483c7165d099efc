/**
 * The contract suite, part 6: several hundred connections at once that send, pause, half-close, reset and close at random, checked against a
 * model of each. The run prints its seed; `RINGLOOM_SEED` repeats it. (The kernel's timing is not part of the seed.)
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DriverUnderTest, driverVariants } from "../support/drivers.js";
import type { Peer } from "../support/peer.js";
import { Random, seedOf } from "../support/random.js";
import { pattern, patternAt, Rig } from "./rig.js";

const CONNECTIONS = 400;
const AT_ONCE_MAX = 120;
/** A stream begins with its number, so that the driver's side knows what it must receive. */
const HEADER_BYTES = 4;

/** How a connection ends. In the first three both sides must have every byte; in the others what arrived must be a prefix. */
const ENDINGS = [
  "peer ends",
  "peer ends early and reads on",
  "driver closes after flush",
  "driver closes",
  "driver shuts both ways",
  "peer resets",
  "peer destroys",
] as const;
const COMPLETE: readonly string[] = ["peer ends", "peer ends early and reads on", "driver closes after flush"];

/** The model of one connection. */
interface Plan {
  readonly id: number;
  readonly ending: (typeof ENDINGS)[number];
  readonly size: number;
  /** After how many bytes the side that breaks off does so. */
  readonly breakAt: number;
  readonly random: Random;
}

/** The driver's side of one connection: an echo that stops when the write pool is full. */
interface Echo {
  readonly slot: number;
  readonly generation: number;
  plan: Plan | undefined;
  head: Buffer;
  received: number;
  waiting: Buffer[];
  hasEnded: boolean;
  isDone: boolean;
}

for (const under of driverVariants) {
  describe(`Driver ${under.label}, under stress`, { skip: under.skip, timeout: 300_000 }, () => {
    test(`${CONNECTIONS} random connections keep to the model`, async (t) => {
      const seed = seedOf();
      t.diagnostic(`RINGLOOM_SEED=${seed}`);
      try {
        await stress(under, seed);
      } catch (error) {
        throw new Error(`Failed with RINGLOOM_SEED=${seed}`, { cause: error });
      }
    });
  });
}

async function stress(under: DriverUnderTest, seed: number): Promise<void> {
  const random = new Random(seed);
  // A small pool and a small slab, so that both run dry again and again.
  const rig = await Rig.listening(under, {
    connectionsMax: 256,
    writePoolBytes: 1024 * 1024,
    receiveSlabBytes: 128 * 1024,
  });
  const plans = Array.from({ length: CONNECTIONS }, (_, id) => planOf(id, random));
  const model = new StressModel(rig, plans);
  let isDone = false;
  try {
    const queue = [...plans];
    const workers = Array.from({ length: AT_ONCE_MAX }, async () => {
      for (let plan = queue.pop(); plan !== undefined; plan = queue.pop()) await runPeer(rig, plan);
    });
    await Promise.all(workers);
    assert.deepEqual(model.failures, []);
    isDone = true;
  } finally {
    if (isDone) await rig.finish();
    else await rig.abandon();
  }
  // A peer that resets or destroys its socket at once may never have been connected.
  assert.ok(rig.lives.length <= CONNECTIONS && rig.lives.length > CONNECTIONS / 2);
  for (const life of rig.lives) assert.equal(life.events.filter((event) => event === "closed").length, 1);
}

function planOf(id: number, random: Random): Plan {
  const size = random.below(4) === 0 ? random.below(300_000) : random.below(5_000);
  return {
    id,
    ending: ENDINGS[random.below(ENDINGS.length)]!,
    size,
    breakAt: random.below(size + 1),
    random: random.fork(),
  };
}

/** Everything that happens on the driver's side. */
class StressModel {
  readonly failures: string[] = [];
  readonly #rig: Rig;
  readonly #plans: readonly Plan[];
  readonly #echoes = new Map<number, Echo>();

  constructor(rig: Rig, plans: readonly Plan[]) {
    this.#rig = rig;
    this.#plans = plans;
    rig.handlers.accepted = (slot) => this.#begin(slot);
    rig.handlers.received = (slot, bytes, offset, length) =>
      this.#receive(this.#echoes.get(slot)!, Buffer.from(bytes.subarray(offset, offset + length)));
    rig.handlers.ended = (slot) => this.#end(this.#echoes.get(slot)!);
    rig.handlers.drained = (slot) => this.#pump(this.#echoes.get(slot)!);
    rig.handlers.closed = (slot) => this.#close(this.#echoes.get(slot)!);
  }

  #begin(slot: number): void {
    const generation = this.#rig.driver.generations[slot]!;
    this.#echoes.set(slot, {
      slot,
      generation,
      plan: undefined,
      head: Buffer.alloc(0),
      received: 0,
      waiting: [],
      hasEnded: false,
      isDone: false,
    });
  }

  #receive(echo: Echo, chunk: Buffer): void {
    let rest = chunk;
    if (echo.plan === undefined) {
      echo.head = Buffer.concat([echo.head, chunk]);
      if (echo.head.length < HEADER_BYTES) return;
      echo.plan = this.#plans[echo.head.readUInt32LE()]!;
      rest = echo.head.subarray(HEADER_BYTES);
    }
    const { plan } = echo;
    for (let index = 0; index < rest.length; index++) {
      if (rest[index] === patternAt(plan.id, echo.received + index)) continue;
      this.failures.push(`connection ${plan.id}: wrong byte at ${echo.received + index}`);
      break;
    }
    echo.received += rest.length;
    echo.waiting.push(rest);
    if (this.#breaksOff(echo)) return;
    if (plan.random.below(6) === 0) this.#pauseForAWhile(echo);
    this.#pump(echo);
  }

  #breaksOff(echo: Echo): boolean {
    const { plan, slot } = echo;
    if (plan === undefined || echo.received < plan.breakAt) return false;
    if (plan.ending === "driver closes") {
      echo.isDone = true;
      this.#rig.driver.close(slot);
    } else if (plan.ending === "driver shuts both ways") {
      echo.isDone = true;
      this.#rig.driver.end(slot);
      if (plan.random.below(2) === 0) this.#rig.driver.closeAfterFlush(slot);
    }
    return echo.isDone;
  }

  /** Pauses, and resumes from a timer, an immediate or a microtask, if it is still the same connection by then. */
  #pauseForAWhile(echo: Echo): void {
    const { driver } = this.#rig;
    driver.pause(echo.slot);
    const resume = (): void => {
      if (driver.generations[echo.slot] === echo.generation && !this.#isFull(echo)) driver.resume(echo.slot);
    };
    const kind = echo.plan!.random.below(3);
    if (kind === 0) setTimeout(resume, echo.plan!.random.below(5));
    else if (kind === 1) setImmediate(resume);
    else queueMicrotask(resume);
  }

  #isFull(echo: Echo): boolean {
    return echo.waiting.length > 0;
  }

  /** Echoes what waits, in pieces of random sizes, until the pool is full; then goes on when drained. */
  #pump(echo: Echo): void {
    const { driver } = this.#rig;
    if (echo.isDone || echo.plan === undefined) return;
    while (echo.waiting.length > 0) {
      const [first] = echo.waiting as [Buffer];
      const length = Math.min(first.length, 1 + echo.plan.random.below(20_000));
      const sent = length === 0 ? 0 : this.#rig.send(echo.slot, first.subarray(0, length));
      if (sent < length) {
        driver.pause(echo.slot);
        driver.requestDrained(echo.slot);
        return;
      }
      if (sent === first.length) echo.waiting.shift();
      else echo.waiting[0] = first.subarray(sent);
    }
    driver.resume(echo.slot);
    if (echo.hasEnded) this.#finish(echo);
  }

  #end(echo: Echo): void {
    echo.hasEnded = true;
    if (echo.plan === undefined) this.#rig.driver.close(echo.slot);
    else this.#pump(echo);
  }

  #finish(echo: Echo): void {
    echo.isDone = true;
    const { driver } = this.#rig;
    if (echo.plan!.ending === "driver closes after flush" || echo.plan!.random.below(2) === 0)
      driver.closeAfterFlush(echo.slot);
    else driver.end(echo.slot);
  }

  #close(echo: Echo): void {
    this.#echoes.delete(echo.slot);
    const { plan } = echo;
    if (plan !== undefined && COMPLETE.includes(plan.ending) && echo.received !== plan.size) {
      this.failures.push(`connection ${plan.id} (${plan.ending}): ${echo.received} of ${plan.size} bytes received`);
    }
  }
}

/** The peer's side of one connection, from its start to its end. */
async function runPeer(rig: Rig, plan: Plan): Promise<void> {
  const peer = rig.start();
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(plan.id);
  peer.send(header);
  if (plan.random.below(3) === 0) {
    peer.socket.pause();
    setTimeout(() => peer.socket.resume(), plan.random.below(10));
  }
  await sendStream(peer, plan);
  if (plan.ending === "peer ends early and reads on" || plan.ending === "driver closes after flush") peer.socket.end();
  if (COMPLETE.includes(plan.ending)) {
    await peer.received(plan.size);
    peer.socket.end();
  }
  await peer.ended();
  peer.socket.destroy();
  await peer.closed();
  const echoed = peer.bytes;
  assert.ok(echoed.length <= plan.size, `connection ${plan.id}: more came back than was sent`);
  assert.equal(echoed.equals(pattern(plan.id, 0, echoed.length)), true, `connection ${plan.id}: the echo is wrong`);
  if (COMPLETE.includes(plan.ending))
    assert.equal(echoed.length, plan.size, `connection ${plan.id} (${plan.ending}): the echo is incomplete`);
}

async function sendStream(peer: Peer, plan: Plan): Promise<void> {
  let at = 0;
  while (at < plan.size && !peer.isClosed) {
    const length = Math.min(plan.size - at, 1 + plan.random.below(plan.random.below(4) === 0 ? 60_000 : 2_000));
    peer.send(pattern(plan.id, at, length));
    at += length;
    if (plan.ending === "peer resets" && at >= plan.breakAt) return void peer.socket.resetAndDestroy();
    if (plan.ending === "peer destroys" && at >= plan.breakAt) return void peer.socket.destroy();
    if (plan.random.below(2) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  if (plan.ending === "peer resets") peer.socket.resetAndDestroy();
  else if (plan.ending === "peer destroys") peer.socket.destroy();
  // The driver breaks off by itself only when it has something to receive.
  else if (plan.size === 0) peer.socket.end();
}
