// The subject `ringloom-try` of the suite `sync`: the channel cases as docs/sync.md shows them for hot loops, with an `await` only where something is to be waited for.
import { channel, withGroup } from "../../dist/src/sync/index.js";

const OPERATIONS = 100_000;
const MANY = 1_000;

export const cases = {
  "ping-pong-1": () => pingPong(1),
  "ping-pong-100": () => pingPong(100),
  "fan-in": () => pass(MANY, 1),
  "fan-out": () => pass(1, MANY),
  "channel-1": channelAlone,
};

async function pingPong(pairs) {
  const limit = OPERATIONS / pairs;
  let sum = 0;
  await withGroup((all) => {
    for (let n = 0; n < pairs; n++) {
      const [there, back] = [channel(1), channel(1)];
      const play = async (from, to) => {
        for (;;) {
          const { value, done } = await from.next();
          if (done) return;
          if (value >= limit) {
            sum += value;
            to.close();
            return;
          }
          if (!to.trySend(value + 1)) await to.send(value + 1);
        }
      };
      void all.spawn(() => play(there, back));
      void all.spawn(() => play(back, there));
      there.trySend(1);
    }
  });
  return sum;
}

/** OPERATIONS values through one channel. */
async function pass(producers, consumers) {
  const values = channel(256);
  let sum = 0;
  await withGroup(async (all) => {
    for (let n = 0; n < consumers; n++) {
      void all.spawn(async () => {
        for await (const first of values) {
          let value = first;
          do sum ^= value;
          while ((value = values.tryRecv()) !== undefined);
        }
      });
    }
    await withGroup((producing) => {
      const share = OPERATIONS / producers;
      for (let n = 0; n < producers; n++) {
        void producing.spawn(async () => {
          for (let i = n * share + 1; i <= (n + 1) * share; i++) {
            if (!values.trySend(i)) await values.send(i);
          }
        });
      }
    });
    values.close();
  });
  return sum >>> 0;
}

async function channelAlone() {
  const values = channel(1);
  let sum = 0;
  for (let n = 0; n < OPERATIONS; n++) {
    if (!values.trySend(1)) await values.send(1);
    sum += values.tryRecv() ?? (await values.recv());
  }
  return sum;
}
