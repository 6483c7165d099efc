/** Descriptors: released by streams, passed over Unix sockets, and Unix datagrams. `RINGLOOM_DRIVER` says which driver. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { loadNative } from "../../src/native.js";
import {
  adoptDescriptorStream,
  adoptStream,
  bindUnixDatagram,
  connect,
  connectDescriptorStream,
  type DescriptorStream,
  listen,
  listenDescriptors,
  OwnedDescriptor,
} from "../../src/net/index.js";
import { within } from "../support/signal.js";
import { until, withPair } from "./net-rig.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-descriptors-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = loadNative() === undefined && "descriptors need the addon";
let names = 0;

function newPath(): string {
  names += 1;
  return join(folder, `s${names}`);
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

async function withLine(body: (one: DescriptorStream, other: DescriptorStream) => Promise<void>): Promise<void> {
  const path = newPath();
  const listener = await listenDescriptors(path, { mode: 0o600, descriptorsMax: 4 });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const [one, other] = await Promise.all([connectDescriptorStream(path), listener.accept({ timeoutMs: 10_000 })]);
  try {
    await within("the body of the test", body(one, other));
  } finally {
    one.close();
    other.close();
    listener.close();
  }
  assert.throws(() => statSync(path), { code: "ENOENT" });
}

describe("NetStream.release()", { skip, timeout: 60_000 }, () => {
  test("gives the descriptor, what was not read, and sends what was written", async () => {
    await withPair(async ({ client, server }) => {
      await client.writeAll("unread");
      await until("the bytes", () => server.bytesAvailable === 6);
      const answer = Buffer.alloc(100_000, "a");
      await server.writeAll(answer);
      const descriptor = await server.release({ timeoutMs: 10_000 });
      assert.ok(server.isClosed);
      await assert.rejects(server.read(), { code: "ERR_RINGLOOM_CLOSED" });
      await assert.rejects(server.writeAll("x"), { code: "ERR_RINGLOOM_CLOSED" });
      server.close();
      assert.ok((await client.readExact(answer.length)).equals(answer));
      await client.writeAll(" and more");
      const again = adoptStream(descriptor);
      assert.ok(descriptor.isClosed);
      assert.equal((await again.readExact(15)).toString(), "unread and more");
      await again.writeAll("!");
      assert.equal((await client.readExact(1)).toString(), "!");
      again.close();
      assert.equal(await client.read(), undefined);
    });
  });

  test("refuses where it cannot be, and one that is given up closes the stream", async () => {
    await withPair(async ({ client, server }) => {
      const reading = server.read();
      await assert.rejects(server.release(), { code: "ERR_RINGLOOM_BUSY" });
      await client.writeAll("x");
      await reading;
      await assert.rejects(server.release({ timeoutMs: -1 }), RangeError);
      // The peer does not read, so what was written cannot leave.
      while (server.tryWrite(Buffer.alloc(65_536)) > 0) await setTimeout(1);
      await assert.rejects(server.release({ timeoutMs: 20 }), { code: "ERR_RINGLOOM_TIMEOUT" });
      await server.closed;
      await assert.rejects(server.release(), { code: "ERR_RINGLOOM_CLOSED" });
      await client.end();
      await assert.rejects(client.release(), { code: "EPIPE" });
    });
  });

  test("an owner that nobody takes from closes its descriptor", async () => {
    await withPair(async ({ client, server }) => {
      const descriptor = await server.release();
      const { number } = descriptor;
      descriptor.close();
      descriptor.close();
      assert.throws(() => fstatSync(number), { code: "EBADF" });
      assert.throws(() => descriptor.take(), { code: "ERR_RINGLOOM_CLOSED" });
      assert.equal(await client.read(), undefined);
      assert.throws(() => new OwnedDescriptor(-1), RangeError);
    });
  });
});

describe("adoptStream() and its like", { skip, timeout: 60_000 }, () => {
  test("leave the descriptor with its owner when an option is none, or the descriptor is", async () => {
    await withPair(async ({ client, server }) => {
      const owned = await server.release();
      const before = openDescriptors();
      for (const options of [
        { keepAliveIdleMs: -1 },
        { keepAliveIdleMs: Number.NaN },
        { keepAlive: 1 },
        { noDelay: "no" },
        { readBufferBytes: 1 },
      ]) {
        assert.throws(() => adoptStream(owned, options as never), /^(Range|Type)Error: Cannot adopt/);
        assert.throws(() => adoptStream(owned.number, options as never), /^(Range|Type)Error: Cannot adopt/);
        assert.equal(owned.isClosed, false);
        fstatSync(owned.number);
      }
      assert.equal(openDescriptors(), before);
      const again = adoptStream(owned, { keepAliveIdleMs: 1_000, noDelay: false });
      await again.writeAll("one owner");
      assert.equal((await client.readExact(9)).toString(), "one owner");
      again.close();
      await client.end();
      await within("the stream to close", again.closed);
      await until("the descriptors to be closed", () => openDescriptors() === before - 2);

      const file = new OwnedDescriptor(openSync("/dev/null", "r"));
      const regular = new OwnedDescriptor(openSync(process.execPath, "r"));
      assert.throws(() => adoptDescriptorStream(regular), { code: "EPERM" });
      assert.throws(() => adoptDescriptorStream(file, { descriptorsMax: -1 }), RangeError);
      assert.ok(!regular.isClosed && !file.isClosed);
      fstatSync(regular.number);
      regular.close();
      file.close();
    });
  });

  test("connect() with an option that is none opens nothing", async () => {
    await withPair(async ({ listener }) => {
      const before = openDescriptors();
      const target = { port: listener.port };
      await assert.rejects(connect(target, { keepAliveIdleMs: -1 }), RangeError);
      await assert.rejects(connect(target, { noDelay: 1 as never }), TypeError);
      await assert.rejects(connect({ ...target, host: "localhost" }, { keepAliveIdleMs: 1e9 }), RangeError);
      assert.equal(openDescriptors(), before);
      assert.equal(listener.waitingNow, 0);
    });
  });
});

describe("DescriptorStream", { skip, timeout: 60_000 }, () => {
  test("carries bytes both ways, and descriptors with them", async () => {
    await withLine(async (one, other) => {
      await one.send("no descriptor");
      const plain = await other.recv();
      assert.deepEqual([plain?.bytes.toString(), plain?.descriptors], ["no descriptor", []]);
      const path = join(folder, "file");
      writeFileSync(path, "of the file");
      const file = openSync(path, "r");
      await other.send("a file", { descriptors: [file, new OwnedDescriptor(openSync(path, "r"))] });
      closeSync(file);
      const message = await one.recv({ timeoutMs: 10_000 });
      assert.deepEqual([message?.bytes.toString(), message?.descriptors.length], ["a file", 2]);
      const taken = message!.descriptors[0]!.take();
      const bytes = Buffer.alloc(32);
      assert.equal(bytes.toString("utf8", 0, readSync(taken, bytes)), "of the file");
      closeSync(taken);
      message!.descriptors[1]!.close();
      other.end();
      assert.equal(await one.recv(), undefined);
      assert.equal(await one.recv(), undefined);
    });
  });

  test("passes a connection on, and a listener", async () => {
    await withLine(async (one, other) => {
      await withPair(async ({ client, server }) => {
        await client.writeAll("early");
        const given = await server.release();
        await one.send("stream", { descriptors: [given] });
        given.close();
        const stream = adoptStream((await other.recv())!.descriptors[0]!);
        // What had been received before is the giver's to pass on.
        const early = given.unread.length > 0 ? given.unread : await stream.readExact(5);
        assert.equal(early.toString(), "early");
        await stream.writeAll("from there");
        assert.equal((await client.readExact(10)).toString(), "from there");
        stream.close();
      });
      const native = loadNative()!;
      const opened = native.listenSocket("127.0.0.1", 0, 16, 0);
      assert.ok(typeof opened !== "number");
      const { fd, port } = opened;
      await one.send("listener", { descriptors: [fd] });
      closeSync(fd);
      const listener = await listen({ descriptor: (await other.recv())!.descriptors[0]! });
      const [client, server] = await Promise.all([connect({ port }), listener.accept()]);
      client.close();
      server.close();
      await Promise.all([client.closed, server.closed, listener.close()]);
    });
  });

  test("more descriptors than it takes are closed, and the call says so", async () => {
    await withLine(async (one, other) => {
      const file = openSync("/dev/null", "r");
      const before = openDescriptors();
      await one.send("five", { descriptors: Array.from({ length: 5 }, () => file) });
      await assert.rejects(other.recv(), { code: "EMSGSIZE" });
      assert.equal(openDescriptors(), before);
      await one.send("four", { descriptors: Array.from({ length: 4 }, () => file) });
      const message = await other.recv();
      assert.equal(openDescriptors(), before + 4);
      for (const descriptor of message!.descriptors) descriptor.close();
      assert.equal(openDescriptors(), before);
      await assert.rejects(one.send("x", { descriptors: [99_999] }), { code: "EBADF" });
      await assert.rejects(one.send("", { descriptors: [file] }), TypeError);
      await assert.rejects(one.send("x", { descriptors: Array.from({ length: 254 }, () => file) }), RangeError);
      closeSync(file);
    });
  });

  test("a send waits for a peer that does not read, can be given up, and goes on in order", async () => {
    await withLine(async (one, other) => {
      const large = Buffer.alloc(4_000_000, "z");
      const giving = one.send(large, { timeoutMs: 50 });
      const error = await giving.then(
        () => undefined,
        (cause: unknown) => cause as { code: string; details: { writtenBytes: number } },
      );
      assert.equal(error?.code, "ERR_RINGLOOM_TIMEOUT");
      assert.ok(error.details.writtenBytes > 0 && error.details.writtenBytes < large.length);
      const sent = one.send(large);
      let count = 0;
      while (count < error.details.writtenBytes + large.length) count += (await other.recv())!.bytes.length;
      await sent;
      const waiting = other.recv();
      other.close();
      await assert.rejects(waiting, { code: "ERR_RINGLOOM_CLOSED" });
      await assert.rejects(other.recv(), { code: "ERR_RINGLOOM_CLOSED" });
      await assert.rejects(one.send("x"), { code: "EPIPE" });
    });
  });

  test("ends behind what waits to be sent", async () => {
    await withLine(async (one, other) => {
      const bytes = Buffer.alloc(2_000_000, "x");
      const sending = one.send(bytes);
      one.end();
      await assert.rejects(one.send("late"), { code: "EPIPE" });
      let length = 0;
      for await (const message of other) length += message.bytes.length;
      assert.equal(length, bytes.length);
      await sending;
    });
  });

  test("connects to nobody with typed errors, and gives up at a full queue", async () => {
    await assert.rejects(connectDescriptorStream(newPath()), { code: "ENOENT" });
    const path = newPath();
    const listener = await listenDescriptors(path, { backlog: 0 });
    const first = await connectDescriptorStream(path);
    await assert.rejects(listenDescriptors(path), { code: "EADDRINUSE" });
    await assert.rejects(connectDescriptorStream(path, { timeoutMs: 30 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    const late = connectDescriptorStream(path, { timeoutMs: 10_000 });
    const accepted = [await listener.accept(), await listener.accept()];
    for (const stream of [first, await late, ...accepted]) stream.close();
    await assert.rejects(listener.accept({ signal: AbortSignal.timeout(10) }), { code: "ERR_RINGLOOM_ABORTED" });
    listener.close();
    await assert.rejects(listener.accept(), { code: "ERR_RINGLOOM_CLOSED" });
    assert.throws(() => adoptDescriptorStream(5, { descriptorsMax: 254 }), RangeError);
  });
});

describe("UnixDatagramSocket", { skip, timeout: 60_000 }, () => {
  test("carries whole messages both ways, and says from where", async () => {
    const [here, there] = [newPath(), `\0ringloom-${process.pid}-datagram`];
    const [one, other] = [await bindUnixDatagram({ path: here, mode: 0o600 }), await bindUnixDatagram({ path: there })];
    assert.equal(statSync(here).mode & 0o777, 0o600);
    await one.send("ping", { to: there });
    const { bytes, from } = await other.recv({ timeoutMs: 10_000 });
    assert.deepEqual([bytes.toString(), from], ["ping", here]);
    await other.send("", { to: here });
    await other.send("pong", { to: here });
    const answers = [await one.recv(), await one.recv()];
    assert.deepEqual(
      answers.map((answer) => [answer.bytes.toString(), answer.from]),
      [
        ["", there],
        ["pong", there],
      ],
    );
    assert.equal(one.tryRecv(), undefined);
    const waiting = [other.recv(), other.recv()];
    one.connect(there);
    await one.send("a");
    await one.send("b");
    assert.deepEqual(
      (await Promise.all(waiting)).map((message) => message.bytes.toString()),
      ["a", "b"],
    );
    const anonymous = await bindUnixDatagram();
    await anonymous.send("who?", { to: there });
    assert.equal((await other.recv()).from, undefined);
    for (const socket of [one, other, anonymous]) socket.close();
    assert.throws(() => statSync(here), { code: "ENOENT" });
  });

  test("nothing is lost between a fast sender and a slow receiver, and a full one holds up nobody else", async () => {
    const [slow, quick] = [await bindUnixDatagram({ path: newPath() }), await bindUnixDatagram({ path: newPath() })];
    const sender = await bindUnixDatagram();
    const count = 500;
    const sending = Promise.all(
      Array.from({ length: count }, (_, index) => sender.send(String(index), { to: slow.path })),
    );
    await sender.send("past them", { to: quick.path, timeoutMs: 10_000 });
    assert.equal((await quick.recv()).bytes.toString(), "past them");
    for (let index = 0; index < count; index++)
      assert.equal((await slow.recv({ timeoutMs: 10_000 })).bytes.toString(), String(index));
    await sending;
    const many = Array.from({ length: 2_000 }, () =>
      sender.send("x", { to: slow.path, signal: AbortSignal.timeout(100) }),
    );
    const codes = new Set(
      (await Promise.allSettled(many)).map((result) => result.status === "rejected" && result.reason.code),
    );
    assert.ok(codes.has("ERR_RINGLOOM_BACKPRESSURE") && codes.has("ERR_RINGLOOM_ABORTED"), [...codes].join());
    for (const socket of [slow, quick, sender]) socket.close();
  });

  test("answers bad input and full rooms with typed errors", async () => {
    const path = newPath();
    const socket = await bindUnixDatagram({ path, bytesMax: 16, descriptorsMax: 0 });
    const other = await bindUnixDatagram();
    await assert.rejects(bindUnixDatagram({ path }), { code: "EADDRINUSE" });
    await assert.rejects(bindUnixDatagram({ path: "" }), TypeError);
    await assert.rejects(bindUnixDatagram({ mode: 0o600 }), TypeError);
    await assert.rejects(bindUnixDatagram({ bytesMax: 0 }), RangeError);
    await assert.rejects(other.send("nobody"), TypeError);
    await assert.rejects(other.send("nobody", { to: newPath() }), { code: "ENOENT" });
    await assert.rejects(other.send("x", { to: path, descriptors: [-1] }), TypeError);
    await other.send(Buffer.alloc(17), { to: path });
    await assert.rejects(socket.recv(), { code: "EMSGSIZE" });
    const file = openSync("/dev/null", "r");
    const before = openDescriptors();
    await other.send("x", { to: path, descriptors: [file] });
    await assert.rejects(socket.recv(), { code: "EMSGSIZE" });
    assert.equal(openDescriptors(), before);
    closeSync(file);
    await assert.rejects(socket.recv({ timeoutMs: 10 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    socket.close();
    socket.close();
    await assert.rejects(other.send("gone", { to: path }), { code: "ENOENT" });
    await assert.rejects(socket.recv(), { code: "ERR_RINGLOOM_CLOSED" });
    other.close();
    assert.throws(() => other.connect(path), { code: "ERR_RINGLOOM_CLOSED" });
  });

  test("takes exactly as many descriptors as it may, odd numbers too, and closes all of a message with more", async () => {
    const sender = await bindUnixDatagram();
    const file = openSync("/dev/null", "r");
    for (const descriptorsMax of [0, 1, 2, 3, 4, 5, 252, 253]) {
      const path = newPath();
      const socket = await bindUnixDatagram({ path, descriptorsMax });
      const before = openDescriptors();
      const descriptors = new Array<number>(descriptorsMax).fill(file);
      await sender.send("as many", { to: path, descriptors });
      const message = await socket.recv({ timeoutMs: 10_000 });
      assert.equal(message.descriptors.length, descriptorsMax);
      assert.equal(openDescriptors(), before + descriptorsMax);
      for (const descriptor of message.descriptors) descriptor.close();
      if (descriptorsMax < 253) {
        await sender.send("one more", { to: path, descriptors: [...descriptors, file] });
        await assert.rejects(
          socket.recv({ timeoutMs: 10_000 }),
          { code: "EMSGSIZE" },
          `${descriptorsMax} are the most`,
        );
      }
      assert.equal(openDescriptors(), before);
      socket.close();
    }
    closeSync(file);
    sender.close();
  });

  test("receives in batches, in memory of its own and of the caller", async () => {
    const path = newPath();
    const from = newPath();
    const [socket, sender] = [
      await bindUnixDatagram({ path, bytesMax: 16, descriptorsMax: 1 }),
      await bindUnixDatagram({ path: from }),
    ];
    const send = async (...texts: string[]): Promise<void> => {
      for (const text of texts) await sender.send(text, { to: path });
    };
    const texts = (messages: readonly { readonly bytes: Buffer }[]): string[] =>
      messages.map(({ bytes }) => bytes.toString());
    const waiting = socket.recvMany(2, { timeoutMs: 10_000 });
    await send("a", "b", "c");
    const first = texts(await waiting);
    const rest = texts(await socket.recvMany(10));
    assert.deepEqual([...first, ...rest], ["a", "b", "c"]);
    assert.ok(first.length <= 2);
    // The one that is refused does not take those before it along.
    await send("d", "longer than sixteen bytes", "e");
    assert.deepEqual(texts(await socket.recvMany(3)), ["d"]);
    await assert.rejects(socket.recvMany(3), { code: "EMSGSIZE" });
    assert.deepEqual(texts(await socket.recvMany(3)), ["e"]);

    const buffers = [Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4)];
    const before = openDescriptors();
    await send("one", "three");
    await sender.send("fd", { to: path, descriptors: [0] });
    const got = await socket.recvManyInto(buffers, { timeoutMs: 10_000 });
    assert.deepEqual(
      got.map(({ length, isTruncated, from: sentFrom }) => [length, isTruncated, sentFrom]),
      [
        [3, false, from],
        [4, true, from],
        [2, false, from],
      ],
    );
    assert.deepEqual(
      got.map(({ length }, index) => buffers[index]?.toString("utf8", 0, length)),
      ["one", "thre", "fd"],
    );
    assert.equal(got[2]?.descriptors.length, 1);
    got[2]?.descriptors[0]?.close();
    await sender.send("too many", { to: path, descriptors: [0, 0] });
    const [cut] = await socket.recvManyInto([Buffer.alloc(16)], { timeoutMs: 10_000 });
    assert.deepEqual([cut?.isTruncated, cut?.descriptors.length], [true, 0]);
    assert.equal(openDescriptors(), before);
    const late = socket.recvManyInto(buffers, { timeoutMs: 10_000 });
    await send("late");
    assert.equal((await late)[0]?.length, 4);
    await assert.rejects(socket.recvManyInto([]), RangeError);
    await assert.rejects(socket.recvManyInto([new Uint8Array(0)]), RangeError);
    await assert.rejects(socket.recvManyInto(["x"] as never), TypeError);
    await assert.rejects(socket.recvMany(0), RangeError);
    await assert.rejects(socket.recvManyInto(buffers, { timeoutMs: 5 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    socket.close();
    sender.close();
    await assert.rejects(socket.recvManyInto(buffers), { code: "ERR_RINGLOOM_CLOSED" });
  });

  test("takes the place of a process that is gone, and leaves others' files alone", async () => {
    const path = newPath();
    const { openSocket, nameSocket, socketAddress, closeDescriptor } = loadNative()!;
    const dead = openSocket(1, 2);
    assert.equal(nameSocket(dead, socketAddress(path, -1) as ArrayBuffer, 0), 0);
    closeDescriptor(dead);
    const socket = await bindUnixDatagram({ path });
    socket.close();
    writeFileSync(path, "a file");
    await assert.rejects(bindUnixDatagram({ path }), { code: "EADDRINUSE" });
  });

  test("a thread that is killed while it waits leaves no socket behind", async () => {
    const path = `\0ringloom-${process.pid}-killed`;
    const program = `
      import { bindUnixDatagram, listenDescriptors } from ${JSON.stringify(new URL("../../src/net/index.js", import.meta.url).href)};
      import { parentPort } from "node:worker_threads";
      const socket = await bindUnixDatagram({ path: ${JSON.stringify(path)} });
      const listener = await listenDescriptors(${JSON.stringify(`${path}-listener`)});
      void listener.accept();
      void socket.recv();
      parentPort.postMessage("waits");
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
    await within("the thread to wait", once(worker, "message"));
    await assert.rejects(bindUnixDatagram({ path }), { code: "EADDRINUSE" });
    await within("the thread to end", worker.terminate());
    const socket = await bindUnixDatagram({ path });
    socket.close();
    const listener = await listenDescriptors(`${path}-listener`);
    listener.close();
  });
});
