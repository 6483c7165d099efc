import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { SocketTimeouts, type TimedSocket } from "./socket-timeouts.js";

/** A socket that counts, on a clock that the test moves. */
class FakeSocket implements TimedSocket {
  timeout: number;
  activeAtMs = performance.now();
  fired = 0;

  constructor(timeout: number) {
    this.timeout = timeout;
  }

  timedOut(): void {
    this.fired += 1;
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

test("SocketTimeouts fires once, not before the time and at most a quarter of a second after it", () => {
  withClock((advance) => {
    const timeouts = new SocketTimeouts();
    const socket = new FakeSocket(2_000);
    timeouts.watch(socket);
    advance(1_999);
    assert.equal(socket.fired, 0);
    advance(251);
    assert.equal(socket.fired, 1);
    advance(5_000);
    assert.equal(socket.fired, 1, "it fires again only after activity");
    socket.activeAtMs = performance.now();
    advance(2_251);
    assert.equal(socket.fired, 2);
    timeouts.stop();
  });
});

test("SocketTimeouts counts from the last activity, and forgets a socket whose timeout is taken back", () => {
  withClock((advance) => {
    const timeouts = new SocketTimeouts();
    const [active, off, gone] = [new FakeSocket(100), new FakeSocket(100), new FakeSocket(100)];
    for (const socket of [active, off, gone]) timeouts.watch(socket);
    off.timeout = 0;
    timeouts.forget(gone);
    for (let round = 0; round < 10; round++) {
      advance(60);
      active.activeAtMs = performance.now();
    }
    assert.deepEqual([active.fired, off.fired, gone.fired], [0, 0, 0]);
    advance(126);
    assert.deepEqual([active.fired, off.fired, gone.fired], [1, 0, 0]);
    timeouts.stop();
  });
});

test("SocketTimeouts ticks as fast as its shortest timeout needs, and no longer", () => {
  withClock((advance) => {
    const timeouts = new SocketTimeouts();
    const long = new FakeSocket(60_000);
    timeouts.watch(long);
    const short = new FakeSocket(20);
    timeouts.watch(short);
    advance(26);
    assert.equal(short.fired, 1);
    short.timeout = 0;
    advance(59_974);
    const late = new FakeSocket(8);
    timeouts.watch(late);
    advance(14);
    assert.equal(late.fired, 1);
    advance(240);
    assert.equal(long.fired, 1);
    timeouts.stop();
  });
});

test("SocketTimeouts.after() runs once, also beside sockets, and not after stop()", () => {
  withClock((advance) => {
    const timeouts = new SocketTimeouts();
    const ran: string[] = [];
    timeouts.after(30, () => ran.push("first"));
    timeouts.after(1_000, () => ran.push("second"));
    advance(29);
    assert.equal(ran.length, 0);
    advance(10);
    assert.deepEqual(ran, ["first"]);
    advance(1_300);
    assert.deepEqual(ran, ["first", "second"]);
    timeouts.after(5, () => ran.push("never"));
    timeouts.stop();
    advance(1_000);
    assert.deepEqual(ran, ["first", "second"]);
  });
});

test("SocketTimeouts forgets a deadline that is taken back, and one that is over", () => {
  withClock((advance) => {
    const timeouts = new SocketTimeouts();
    const ran: string[] = [];
    const first = timeouts.after(100, () => ran.push("first"));
    timeouts.after(100, () => ran.push("second"));
    assert.equal(timeouts.deadlinesNow, 2);
    timeouts.cancel(first);
    assert.equal(timeouts.deadlinesNow, 1);
    advance(400);
    assert.deepEqual(ran, ["second"]);
    assert.equal(timeouts.deadlinesNow, 0);
    timeouts.stop();
  });
});
