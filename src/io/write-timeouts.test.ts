import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { NOTHING_WAITS, WriteTimeouts, type WritingSocket } from "./write-timeouts.js";

/** A connection whose kernel takes what the test says. */
class FakeSocket implements WritingSocket {
  committedBytes = 0;
  sentBytes = 0;
  unacknowledgedBytes = 0;
  takenBytes = NOTHING_WAITS;
  takenAtMs = 0;
  isCut = false;

  get queuedBytes(): number {
    return this.committedBytes - this.sentBytes;
  }
}

/** Runs `body` with timers and `performance.now` under the test's control. */
function withClock(body: (advance: (ms: number) => void) => void): void {
  let now = 0;
  const clock = mock.method(performance, "now", () => now);
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    body((ms) => {
      for (let step = 0; step < ms; step++) {
        now += 1;
        mock.timers.tick(1);
      }
    });
  } finally {
    mock.timers.reset();
    clock.mock.restore();
  }
}

function watching(sockets: FakeSocket[], timeoutMs: number): WriteTimeouts<FakeSocket> {
  const timeouts = new WriteTimeouts<FakeSocket>({
    timeoutMs,
    sockets: () => sockets,
    cut: (socket) => (socket.isCut = true),
  });
  timeouts.start();
  return timeouts;
}

test("WriteTimeouts cuts a peer that takes nothing, not before the time and at most two ticks after it", () => {
  withClock((advance) => {
    const socket = new FakeSocket();
    const timeouts = watching([socket], 4_000);
    advance(10_000);
    assert.equal(socket.isCut, false, "nothing waits");
    socket.committedBytes = 1;
    advance(4_000);
    assert.equal(socket.isCut, false);
    advance(2_000);
    assert.equal(socket.isCut, true);
    timeouts.stop();
  });
});

test("WriteTimeouts leaves alone who takes 240 bytes a second, or all of it, however much is written meanwhile", () => {
  withClock((advance) => {
    const [slow, quick, stuck] = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
    const timeouts = watching([slow, quick, stuck], 1_000);
    for (const socket of [slow, stuck]) socket.committedBytes = 10_000;
    for (let round = 0; round < 10; round++) {
      slow.sentBytes += 240;
      quick.committedBytes += 10;
      advance(400);
      quick.sentBytes += 10;
      stuck.committedBytes += 10;
      advance(400);
    }
    assert.deepEqual([slow.isCut, quick.isCut, stuck.isCut], [false, false, true]);
    timeouts.stop();
  });
});

test("WriteTimeouts cuts who takes a byte now and then", () => {
  withClock((advance) => {
    const dripping = new FakeSocket();
    const timeouts = watching([dripping], 4_000);
    dripping.committedBytes = 100_000;
    for (let round = 0; round < 12; round++) {
      dripping.sentBytes += 1;
      advance(500);
    }
    assert.equal(dripping.isCut, true);
    timeouts.stop();
  });
});

test("WriteTimeouts leaves alone who empties the kernel's buffer, although the kernel takes nothing for long", () => {
  withClock((advance) => {
    const [slow, stuck] = [new FakeSocket(), new FakeSocket()];
    const timeouts = watching([slow, stuck], 1_000);
    for (const socket of [slow, stuck]) {
      socket.committedBytes = 3_000_000;
      socket.sentBytes = 2_000_000;
      socket.unacknowledgedBytes = 2_000_000;
    }
    for (let round = 0; round < 10; round++) {
      advance(800);
      slow.unacknowledgedBytes -= 50_000;
    }
    assert.deepEqual([slow.isCut, stuck.isCut], [false, true]);
    advance(3_000);
    assert.equal(slow.isCut, true, "it has stopped, too");
    timeouts.stop();
  });
});

test("WriteTimeouts with 0 never cuts", () => {
  withClock((advance) => {
    const stuck = new FakeSocket();
    stuck.committedBytes = 1;
    watching([stuck], 0);
    advance(100_000);
    assert.equal(stuck.isCut, false);
  });
});

test("WriteTimeouts looks no more when there is no connection, until the next start", async () => {
  const stuck = new FakeSocket();
  stuck.committedBytes = 1;
  const sockets: FakeSocket[] = [];
  let looks = 0;
  const timeouts = new WriteTimeouts<FakeSocket>({
    timeoutMs: 20,
    sockets: () => {
      looks += 1;
      return sockets;
    },
    cut: (socket) => (socket.isCut = true),
  });
  timeouts.start();
  while (looks === 0) await setTimeout(1);
  sockets.push(stuck);
  await setTimeout(100);
  assert.deepEqual([looks, stuck.isCut], [1, false]);
  timeouts.start();
  while (!stuck.isCut) await setTimeout(1);
  timeouts.stop();
});
