/** UDP sockets, which are the same on every driver. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { bindUdp, type UdpSocket } from "../../src/net/index.js";
import { within } from "../support/signal.js";
import { until } from "./net-rig.js";

async function withSockets(body: (one: UdpSocket, other: UdpSocket) => Promise<void>): Promise<void> {
  const [one, other] = [await bindUdp(), await bindUdp({ waitingMax: 4 })];
  try {
    await body(one, other);
  } finally {
    one.close();
    other.close();
  }
}

test("UdpSocket carries datagrams both ways and says from where", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    await one.send("ping", other.address);
    const { bytes, from } = await other.recv({ timeoutMs: 10_000 });
    assert.deepEqual([bytes.toString(), from], ["ping", one.address]);
    await other.sendMany(["a", "b", "c"], from);
    await one.recv();
    const rest = await one.recvMany(8);
    assert.ok(rest.length >= 1 && rest.length <= 2);
    const waiting = [one.recv(), one.recv({ timeoutMs: 10_000 })];
    if (rest.length === 1) waiting.push(one.recv());
    await other.sendMany(["d", "e"], from);
    const texts = (await Promise.all(waiting)).map((datagram) => datagram.bytes.toString());
    assert.deepEqual([...rest.map((datagram) => datagram.bytes.toString()), ...texts], ["b", "c", "d", "e"]);
  });
});

test("UdpSocket.connect() sends to one peer and hears of its refusal", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    await one.connect(other.address);
    await one.send("to the peer");
    assert.equal((await other.recv()).bytes.toString(), "to the peer");
    other.close();
    const refused = one.recv({ timeoutMs: 10_000 });
    await one.send("nobody is there").catch(() => {});
    if (process.platform === "linux") await assert.rejects(refused, { code: "ECONNREFUSED" });
    else refused.catch(() => {});
  });
});

test("UdpSocket drops what nobody takes, and counts it", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    for (let index = 0; index < 10; index++) await one.send(String(index), other.address);
    await until("the drops", () => other.dropped === 6);
    const kept = [other.tryRecv(), other.tryRecv(), other.tryRecv(), other.tryRecv(), other.tryRecv()];
    assert.deepEqual(
      kept.map((datagram) => datagram?.bytes.toString()),
      ["0", "1", "2", "3", undefined],
    );
  });
});

test("UdpSocket joins and leaves a multicast group", { timeout: 20_000 }, async () => {
  const member = await bindUdp({ host: "0.0.0.0", reuseAddress: true });
  const sender = await bindUdp({ host: "127.0.0.1" });
  try {
    member.joinGroup("239.1.2.3", "127.0.0.1");
    sender.configure({ multicastInterface: "127.0.0.1", multicastLoopback: true, multicastHops: 0, broadcast: false });
    await sender.send("to all", { host: "239.1.2.3", port: member.address.port });
    assert.equal((await member.recv({ timeoutMs: 10_000 })).bytes.toString(), "to all");
    member.leaveGroup("239.1.2.3", "127.0.0.1");
    assert.throws(() => member.joinGroup("not a group"), Error);
  } finally {
    member.close();
    sender.close();
  }
});

test("UdpSocket answers bad input with typed errors", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    await assert.rejects(bindUdp({ host: "localhost" }), TypeError);
    await assert.rejects(bindUdp({ port: 70_000 }), RangeError);
    await assert.rejects(bindUdp({ waitingMax: 0 }), RangeError);
    await assert.rejects(bindUdp({ port: one.address.port }), { code: "EADDRINUSE" });
    await assert.rejects(one.send("x"), TypeError);
    await assert.rejects(one.send("x", { host: "example.org", port: 1 }), TypeError);
    await assert.rejects(one.send("x", { host: "127.0.0.1", port: 0 }), RangeError);
    await assert.rejects(one.send(Buffer.alloc(70_000), other.address), { code: "EMSGSIZE" });
    await assert.rejects(one.recv({ timeoutMs: 5 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    await assert.rejects(one.recv({ signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(one.recvMany(0), RangeError);
    const sends = Array.from({ length: 1_100 }, () =>
      one.send("x", other.address).then(
        () => "sent",
        (error) => error.code,
      ),
    );
    const outcomes = await Promise.all(sends);
    assert.ok(outcomes.includes("sent") && outcomes.includes("ERR_RINGLOOM_BACKPRESSURE"));
    const waiting = assert.rejects(one.recv(), { code: "ERR_RINGLOOM_CLOSED" });
    one.close();
    one.close();
    await waiting;
    await assert.rejects(one.recv(), { code: "ERR_RINGLOOM_CLOSED" });
    await assert.rejects(one.send("x", other.address), { code: "ERR_RINGLOOM_CLOSED" });
    for await (const _ of one) assert.fail("a closed socket gives none");
  });
});

test("UdpSocket.connect() that fails rejects, and names nobody to send to", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    await one.connect(other.address);
    await assert.rejects(one.connect({ host: "::1", port: 9 }), (error: Error) => "code" in error);
    await assert.rejects(one.send("x"), TypeError);
  });
});

test("UdpSocket keeps what the network says until somebody receives", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    other.close();
    await one.connect(other.address);
    await one.send("x");
    // The answer comes while nobody receives.
    await setTimeout(20);
    await assert.rejects(one.recv({ timeoutMs: 10_000 }), { code: "ECONNREFUSED" });
    await assert.rejects(one.recv({ timeoutMs: 5 }), { code: "ERR_RINGLOOM_TIMEOUT" });
  });
});

test("bindUdp() that fails leaves no descriptor behind", {
  timeout: 20_000,
  skip: process.platform !== "linux",
}, async () => {
  await withSockets(async (one) => {
    const openNow = (): number => readdirSync("/proc/self/fd").length;
    const before = openNow();
    for (let count = 0; count < 50; count++)
      await assert.rejects(bindUdp({ port: one.address.port }), { code: "EADDRINUSE" });
    // A socket is closed in a later turn.
    for (let turns = 0; turns < 1_000 && openNow() > before + 5; turns++) await setTimeout(1);
    assert.ok(openNow() <= before + 5, `${openNow()} descriptors, ${before} before`);
  });
});

test("UdpSocket.close() gives up the sends and the connect that Node has not answered", {
  timeout: 20_000,
}, async () => {
  await withSockets(async (one, other) => {
    const sending = Promise.all([
      assert.rejects(one.send("late", other.address), { code: "ERR_RINGLOOM_CLOSED" }),
      assert.rejects(other.connect(one.address), { code: "ERR_RINGLOOM_CLOSED" }),
    ]);
    one.close();
    other.close();
    await within("both to be given up", sending);
  });
});

test("UdpSocket.sendMany() sends more than may be under way at once", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    await one.sendMany(
      Array.from({ length: 3_000 }, () => "x"),
      other.address,
    );
    await until("some to come", () => other.dropped > 0);
  });
});

test("UdpSocket.recvManyInto() puts datagrams into the caller's buffers, one each", { timeout: 20_000 }, async () => {
  await withSockets(async (one, other) => {
    const buffers = [Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4)];
    const received: string[] = [];
    await one.sendMany(["a", "three", "end"], other.address);
    while (received.length < 3) {
      const datagrams = await other.recvManyInto(buffers, { timeoutMs: 10_000 });
      assert.ok(datagrams.length >= 1 && datagrams.length <= 3);
      for (const [index, { length, from, isTruncated }] of datagrams.entries()) {
        const text = buffers[index]?.toString("utf8", 0, length) ?? "";
        assert.deepEqual([isTruncated, from], [text === "thre", one.address]);
        received.push(text);
      }
    }
    assert.deepEqual(received, ["a", "thre", "end"]);
    await assert.rejects(other.recvManyInto([]), RangeError);
    await assert.rejects(other.recvManyInto([new Uint8Array(0)]), RangeError);
    await assert.rejects(other.recvManyInto([1 as never]), TypeError);
  });
});
