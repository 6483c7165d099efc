// What the two shards of shard-pair.js do: shard 0 asks and measures, shard 1 answers. Every value is checked, its order too.
import { setTimeout as delay } from "node:timers/promises";
import { shard, shardFunction } from "ringloom";
import { App } from "ringloom/http";
import { pin } from "../peers/pairs/pin.js";
import { check } from "../peers/pairs/values.js";

export default new App();

const OTHER = 1;
const ROUNDS = 256;
/** As many as the lane holds. */
const BATCH_MAX = 4_096;
const ONE_WAY_COUNT = 2_048;
const SESSION_ROUNDS = 64;
const IDLE_MS = 1;
/** Tags: a value to be sent back plus one, a value to be summed, the question for the sum, the end. */
const PING = 1;
const ADD = 2;
const FLUSH = 3;
const END = 4;

/** Sent together: enough to make up for a call, and few enough that the other side begins meanwhile. */
const SEND_COUNT = 256;
const values = Array.from({ length: ONE_WAY_COUNT }, (_, index) => [ADD, index + 1]);
const parts = Array.from({ length: ONE_WAY_COUNT / SEND_COUNT }, (_, index) =>
  values.slice(index * SEND_COUNT, (index + 1) * SEND_COUNT),
);
const sum = ((ONE_WAY_COUNT * (ONE_WAY_COUNT + 1)) / 2) >>> 0;

shardFunction("pinTo", (core) => pin(core));

// --- shard 1

shardFunction("serve", async ({ isBusy, isDirect, isEach }) => {
  const options = isDirect ? { direct: true } : undefined;
  let sumNow = 0;
  let before = 0;
  /** Says whether that was the end. */
  function handle({ from, tag, value }) {
    if (tag === PING) shard.sendNoWait(from, PING, value + 1, options);
    else if (tag === ADD) {
      check(value, before + 1);
      before = value;
      sumNow = (sumNow + value) >>> 0;
    } else if (tag === FLUSH) {
      shard.sendNoWait(from, FLUSH, sumNow, options);
      sumNow = 0;
      before = 0;
    }
    return tag === END;
  }
  if (isBusy || isEach) {
    for (;;) {
      let message = isBusy ? poll() : await shard.nextEvent();
      for (; message !== undefined; message = shard.tryNextEvent()) if (handle(message)) return;
    }
  }
  for (;;) {
    for (const message of await shard.nextEvents({ max: BATCH_MAX })) if (handle(message)) return;
  }
});

// --- shard 0

shardFunction("end", () => shard.send(OTHER, END));

const rounds = async (count, options) => {
  for (let i = 1; i <= count; i++) {
    shard.sendNoWait(OTHER, PING, i, options);
    check((await shard.nextEvent()).value, i + 1);
  }
};
shardFunction("rounds", (count) => rounds(count));

shardFunction("measure", async (name, seconds, { isBusy, isDirect }) => {
  const options = isDirect ? { direct: true } : undefined;
  const cpuBefore = process.cpuUsage();
  const beginMs = performance.now();
  let nowMs = beginMs;
  let count = 0;
  let ms = 0;
  while (nowMs - beginMs < seconds * 1_000) {
    if (name === "warm-start") await delay(IDLE_MS);
    const startedMs = performance.now();
    count += await iterate(name, isBusy, options);
    nowMs = performance.now();
    ms += nowMs - startedMs;
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { count, ns: ms * 1e6, cpuNs: (user + system) * 1e3, wallNs: (nowMs - beginMs) * 1e6 };
});

/** One iteration; returns how many rounds, values or sessions it was. */
async function iterate(name, isBusy, options) {
  if (name === "one-way") {
    for (const part of parts) shard.sendManyNoWait(OTHER, part, options);
    await shard.flush();
    shard.sendNoWait(OTHER, FLUSH, 0, options);
    check((await shard.nextEvent()).value, sum);
    return ONE_WAY_COUNT;
  }
  if (name === "warm-start") {
    await rounds(SESSION_ROUNDS, options);
    return 1;
  }
  if (isBusy) busyRounds(ROUNDS);
  else await rounds(ROUNDS, options);
  return ROUNDS;
}

function busyRounds(count) {
  for (let i = 1; i <= count; i++) {
    shard.sendNoWait(OTHER, PING, i);
    check(poll().value, i + 1);
  }
}

/** The next message, asked for again and again. */
function poll() {
  for (;;) {
    const message = shard.tryNextEvent();
    if (message !== undefined) return message;
  }
}
