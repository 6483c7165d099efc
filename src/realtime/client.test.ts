import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { RoomClient, type RoomClientOptions, type RoomWelcome, type SocketLike } from "./client.js";

/** A socket of which the test is the other end. */
class FakeSocket implements SocketLike {
  static all: FakeSocket[] = [];
  readonly sent: unknown[] = [];
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  isClosed = false;

  constructor() {
    FakeSocket.all.push(this);
  }

  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }

  close(): void {
    this.isClosed = true;
  }

  open(): this {
    this.onopen?.({} as never);
    return this;
  }

  say(...frames: readonly unknown[]): this {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) } as never);
    return this;
  }

  end(code: number): void {
    this.onclose?.({ code, reason: "" } as never);
  }
}

function started(options: Partial<RoomClientOptions> = {}): {
  readonly client: RoomClient;
  readonly events: unknown[];
  readonly welcomes: RoomWelcome[];
  readonly ends: number[];
} {
  FakeSocket.all = [];
  const events: unknown[] = [];
  const welcomes: RoomWelcome[] = [];
  const ends: number[] = [];
  const client = new RoomClient({
    url: "ws://somewhere",
    WebSocket: FakeSocket,
    retryMsMin: 1,
    retryMsMax: 2,
    event: (data) => events.push(data),
    welcome: (welcome) => welcomes.push(welcome),
    end: (code) => ends.push(code),
    ...options,
  });
  return { client, events, welcomes, ends };
}

function welcome(session: string, more: { isResumed?: boolean; handled?: number; seen?: number } = {}): unknown {
  return ["welcome", { session, member: "1", isResumed: false, handled: 0, seen: 0, ...more }];
}

async function socket(number: number): Promise<FakeSocket> {
  for (;;) {
    const found = FakeSocket.all[number];
    if (found !== undefined) return found.open();
    await pause(1);
  }
}

describe("RoomClient", () => {
  test("close() in the callback of the status holds", async () => {
    const ends: number[] = [];
    FakeSocket.all = [];
    const client: RoomClient = new RoomClient({
      url: "ws://somewhere",
      WebSocket: FakeSocket,
      retryMsMin: 1,
      retryMsMax: 2,
      status: (status) => {
        if (status === "waiting") client.close();
      },
      end: (code) => ends.push(code),
    });
    (await socket(0)).end(1006);
    await pause(20);
    assert.equal(client.status, "ended");
    assert.deepEqual(ends, [1000]);
    assert.equal(FakeSocket.all.length, 1);
  });

  test("a url() that throws later is an attempt that failed, at first it is the caller's error", async () => {
    let calls = 0;
    const url = (): string => {
      calls += 1;
      if (calls === 2) throw new Error("no address");
      return "ws://somewhere";
    };
    started({ url });
    (await socket(0)).end(1006);
    await socket(1);
    assert.equal(calls, 3);
    const never = (): string => {
      throw new Error("no address");
    };
    assert.throws(() => started({ url: never }), /no address/);
  });

  test("what was sent before a resumed welcome, on a page that was loaded again, is sent", async () => {
    const saved = new Map([["ringloom-room:ws://somewhere", '["s",3]']]);
    const storage = {
      getItem: (key: string) => saved.get(key) ?? [...saved.values()][0] ?? null,
      setItem: (key: string, value: string) => void saved.set(key, value),
      removeItem: (key: string) => void saved.delete(key),
    };
    const { client } = started({ storage } as Partial<RoomClientOptions>);
    client.send("early");
    const first = await socket(0);
    assert.deepEqual(first.sent, [["hello", "s", 3]]);
    first.say(welcome("s", { isResumed: true, handled: 5, seen: 3 }));
    assert.deepEqual(first.sent.slice(1), [["say", 6, "early"]]);
  });

  test("sends what waited, in order, when it is welcome", async () => {
    const { client } = started();
    client.send("a");
    client.send({ b: 1 });
    const first = (await socket(0)).say(welcome("s"));
    client.send("c");
    assert.deepEqual(first.sent, [
      ["hello", null, 0],
      ["say", 1, "a"],
      ["say", 2, { b: 1 }],
      ["say", 3, "c"],
    ]);
    assert.equal(client.waitingCount, 3);
    first.say(["handled", 2]);
    assert.equal(client.waitingCount, 1);
    client.close();
    assert.equal(client.send("d"), false);
  });

  test("comes back with what was not handled, and ignores events that it has seen", async () => {
    const { client, events, welcomes } = started();
    const first = (await socket(0)).say(welcome("s"), ["event", 1, "one"], ["event", 3, "three"]);
    for (const text of ["a", "b", "c"]) client.send(text);
    first.say(["handled", 1]).end(1006);
    client.send("d");
    const second = (await socket(1)).say(welcome("s", { isResumed: true, handled: 2, seen: 3 }));
    second.say(["event", 3, "three"], ["event", 4, "four"]);
    first.say(["event", 5, "from the dead"]);
    assert.deepEqual(second.sent, [
      ["hello", "s", 3],
      ["say", 3, "c"],
      ["say", 4, "d"],
    ]);
    assert.deepEqual(events, ["one", "three", "four"]);
    assert.deepEqual(
      welcomes.map(({ isResumed }) => isResumed),
      [false, true],
    );
    client.close();
  });

  test("tells what may have been handled when its session is gone, and sends the rest under new numbers", async () => {
    const { client, welcomes } = started();
    const first = (await socket(0)).say(welcome("s", { seen: 7 }));
    for (const text of ["a", "b"]) client.send(text);
    first.say(["handled", 1]).end(1012);
    client.send("c");
    const second = (await socket(1)).say(welcome("t", { seen: 2 }));
    assert.deepEqual(second.sent, [
      ["hello", "s", 7],
      ["say", 1, "c"],
    ]);
    assert.deepEqual(welcomes[1]?.uncertain, ["b"]);
    assert.equal(client.seen, 2);
    client.close();
  });

  test("does not come back after a final code", async () => {
    for (const code of [4000, 4999, 1009]) {
      const { client, ends } = started();
      (await socket(0)).say(welcome("s")).end(code);
      await pause(10);
      assert.deepEqual([client.status, ends, FakeSocket.all.length], ["ended", [code], 1]);
    }
  });

  test("waits between two lines when it is told to", async () => {
    const { client } = started();
    const first = (await socket(0)).say(welcome("s"));
    client.disconnect();
    assert.equal(first.isClosed, true);
    await pause(10);
    assert.deepEqual([client.status, FakeSocket.all.length], ["waiting", 1]);
    client.reconnect();
    assert.deepEqual((await socket(1)).sent, [["hello", "s", 0]]);
    client.close();
  });

  test("keeps its session for the page that is loaded again, and forgets it at the end", async () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    const { client } = started({ storage, storageKey: "k" });
    (await socket(0)).say(welcome("s"), ["event", 2, "two"]);
    client.disconnect();
    assert.deepEqual([...kept], [["k", '["s",2]']]);
    const again = started({ storage, storageKey: "k" });
    assert.deepEqual((await socket(0)).sent, [["hello", "s", 2]]);
    again.client.close();
    client.close();
    assert.equal(kept.size, 0);
    kept.set("k", "nonsense");
    const third = started({ storage, storageKey: "k" });
    assert.deepEqual((await socket(0)).sent, [["hello", null, 0]]);
    third.client.close();
  });

  test("refuses what has no JSON, and more than may wait", () => {
    const { client } = started({ waitingMax: 2 });
    assert.throws(() => client.send(undefined), TypeError);
    assert.deepEqual([client.send(1), client.send(2), client.send(3)], [true, true, false]);
    client.close();
  });

  test("acknowledges what it has seen", async () => {
    const { client } = started();
    const first = (await socket(0)).say(welcome("s"), ["event", 1, 1], ["event", 2, 2]);
    while (first.sent.length < 2) await pause(10);
    assert.deepEqual(first.sent, [
      ["hello", null, 0],
      ["seen", 2],
    ]);
    client.close();
  });
});
