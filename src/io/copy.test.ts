/** Writer, copy, split and the streams of others: order, backpressure, counts, ends and failures. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { PassThrough, Readable, Writable } from "node:stream";
import { ReadableStream, WritableStream } from "node:stream/web";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BufferedReader } from "./buffered-reader.js";
import { BufferedWriter } from "./buffered-writer.js";
import type { ByteDuplex, WriteSink } from "./bytes.js";
import { copy, copyBoth } from "./copy.js";
import { fromNodeWritable, toNodeDuplex, toNodeReadable, toNodeWritable } from "./node-streams.js";
import { split } from "./split.js";
import { fromWebWritable, toWebReadable, toWebWritable } from "./web-streams.js";

/** Collects; each write waits until `release` when it is held. */
class Sink implements WriteSink {
  readonly pieces: Buffer[] = [];
  hasEnded = false;
  held: Promise<void> | undefined;

  async write(bytes: Uint8Array): Promise<void> {
    this.pieces.push(Buffer.from(bytes));
    await this.held;
  }

  async end(): Promise<void> {
    this.hasEnded = true;
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString();
  }
}

type Connection = WriteSink & ByteDuplex & { closed: number };

/** Two connections, each of which reads what the other one writes. */
function pair(): [Connection, Connection] {
  const forth = new PassThrough();
  const back = new PassThrough();
  const make = (incoming: PassThrough, outgoing: PassThrough) => ({
    ...fromNodeWritable(outgoing),
    [Symbol.asyncIterator]: () => incoming[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>,
    closed: 0,
    close() {
      this.closed++;
    },
  });
  return [make(back, forth), make(forth, back)];
}

const never = new Promise<void>(() => {});

describe("BufferedWriter", () => {
  test("writes the same bytes, whatever pieces they come in and however small its buffer", async () => {
    const texts = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array()), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 20 }), async (data, bufferBytes) => {
        const sink = new Sink();
        const writer = new BufferedWriter(sink, { bufferBytes });
        for (const [index, piece] of data.entries()) {
          await writer.write(piece);
          if (index % 3 === 2) await writer.flush();
          assert.ok(writer.bufferedBytes <= bufferBytes);
        }
        await writer.end();
        const expected = data.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece));
        assert.deepEqual(Buffer.concat(sink.pieces), Buffer.concat(expected));
        assert.ok(sink.hasEnded);
      }),
    );
  });

  test("does not write again to what a sink has kept", async () => {
    const kept: Uint8Array[] = [];
    const writer = new BufferedWriter({ write: (bytes) => void kept.push(bytes) }, { bufferBytes: 4 });
    for (const text of ["ab", "cd", "ef", "g"]) {
      await writer.write(text);
      await writer.flush();
    }
    assert.equal(Buffer.concat(kept).toString(), "abcdefg");
  });

  test("refuses a second call while one waits for the sink, and calls after the end", async () => {
    const sink = new Sink();
    let release = () => {};
    sink.held = new Promise((resolve) => {
      release = resolve;
    });
    const writer = new BufferedWriter(sink, { bufferBytes: 2 });
    const first = writer.write("long");
    await assert.rejects(writer.write("x"), { code: "ERR_RINGLOOM_BUSY" });
    release();
    await first;
    await writer.end();
    await writer.end();
    await assert.rejects(writer.write("x"), { code: "ERR_RINGLOOM_CLOSED" });
    assert.equal(sink.text, "long");
  });

  test("stays failed after a failure, also after one of time", async () => {
    const sink = new Sink();
    sink.held = never;
    const writer = new BufferedWriter(sink, { bufferBytes: 2 });
    await assert.rejects(writer.write("long", { timeoutMs: 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    await assert.rejects(writer.write("x"), { code: "ERR_RINGLOOM_TIMEOUT" });
    await writer[Symbol.asyncDispose]();
    const early = new BufferedWriter(new Sink(), { bufferBytes: 2 });
    await assert.rejects(early.write("long", { signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
    await early.write("x");
    await assert.rejects(early.write(5 as never), TypeError);
  });
});

describe("copy()", () => {
  test("counts, reports progress and ends the sink when told to", async () => {
    const sink = new Sink();
    const progress: number[] = [];
    const source = [Buffer.from("abc"), Buffer.from("de")];
    assert.equal(await copy(source, sink, { progress: (bytes) => progress.push(bytes), end: true }), 5);
    assert.deepEqual([sink.text, sink.hasEnded, progress], ["abcde", true, [3, 5]]);
  });

  test("reads no further than the sink has taken", async () => {
    let given = 0;
    const sink = new Sink();
    sink.held = never;
    async function* endless() {
      for (;;) {
        given++;
        yield Buffer.alloc(10);
      }
    }
    await assert.rejects(copy(endless(), sink, { timeoutMs: 30 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    assert.equal(given, 1);
  });

  test("stops at bytesMax, closes its source, and leaves a BufferedReader to its owner", async () => {
    let closed = 0;
    async function* source() {
      try {
        for (;;) yield Buffer.from("ab");
      } finally {
        closed++;
      }
    }
    const sink = new Sink();
    await assert.rejects(copy(source(), sink, { bytesMax: 5 }), { code: "ERR_RINGLOOM_TOO_LARGE" });
    assert.deepEqual([sink.text, closed], ["abab", 1]);
    const reader = new BufferedReader(source());
    await assert.rejects(copy(reader, sink, { bytesMax: 3 }), { code: "ERR_RINGLOOM_TOO_LARGE" });
    assert.deepEqual([String(await reader.read()), closed], ["ab", 1]);
    await reader.close();
  });

  test("gives up when nothing comes for idleTimeoutMs", async () => {
    async function* stalling() {
      yield Buffer.from("a");
      await never;
    }
    const sink = new Sink();
    await assert.rejects(copy(stalling(), sink, { idleTimeoutMs: 5 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    assert.equal(sink.text, "a");
  });

  test("copyBoth() half-closes each direction by itself and counts both", async () => {
    const [client, proxyIn] = pair();
    const [proxyOut, server] = pair();
    const copying = copyBoth(proxyIn, proxyOut);
    await client.write(Buffer.from("question"));
    await client.end?.();
    assert.equal(String(await new BufferedReader(server).readAll()), "question");
    await server.write(Buffer.from("answer!"));
    await server.end?.();
    assert.equal(String(await new BufferedReader(client).readAll()), "answer!");
    assert.deepEqual(await copying, { forth: 8, back: 7 });
  });

  test("copyBoth() gives both directions up when one fails", async () => {
    const [, proxyIn] = pair();
    const failing = { ...pair()[0], write: async () => Promise.reject(new Error("reset")) };
    const [peer] = [proxyIn];
    const source = { ...peer, [Symbol.asyncIterator]: () => [Buffer.from("x")].values() as never };
    await assert.rejects(copyBoth(source, failing), /reset/);
  });
});

describe("split()", () => {
  test("closes the connection when both halves have ended, and not before", async () => {
    const [near, far] = pair();
    const { reader, writer } = split(near);
    await writer.write("ping\n");
    await writer.end();
    assert.equal(near.closed, 0);
    assert.equal(await new BufferedReader(far).readLine(), "ping");
    await far.write(Buffer.from("pong\n"));
    await far.end?.();
    assert.deepEqual([await reader.readLine(), await reader.readLine()], ["pong", undefined]);
    assert.equal(near.closed, 1);
    await reader.close();
    assert.equal(near.closed, 1);
  });
});

describe("Node's streams", () => {
  test("fromNodeWritable() waits while the stream is full", async () => {
    const through = new PassThrough({ highWaterMark: 4 });
    const sink = fromNodeWritable(through);
    let isDone = false;
    const writing = (async () => {
      await sink.write(Buffer.from("12345678"));
      isDone = true;
    })();
    await new Promise(setImmediate);
    assert.equal(isDone, false);
    through.resume();
    await writing;
    await sink.end?.();
    assert.ok(through.writableFinished);
  });

  test("fromNodeWritable() passes a failure on to the write that waits and to later ones", async () => {
    const stream = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, done) => setImmediate(done, new Error("full disk")),
    });
    const sink = fromNodeWritable(stream);
    await assert.rejects(async () => sink.write(Buffer.from("xy")), /full disk/);
    await assert.rejects(async () => sink.write(Buffer.from("xy")), /full disk/);
    await assert.rejects(async () => sink.end?.(), /full disk/);
    const gone = fromNodeWritable(new PassThrough().destroy());
    await assert.rejects(async () => gone.write(Buffer.from("x")), { code: "EPIPE" });
  });

  test("toNodeReadable() gives all bytes, and destroying it closes a source that waits", async () => {
    const stream = toNodeReadable(Readable.from([Buffer.from("ab"), Buffer.from("c")]));
    assert.equal(String(Buffer.concat(await stream.toArray())), "abc");
    let returned = 0;
    const stalled = {
      [Symbol.asyncIterator]: () => ({
        next: () => never as never,
        return: async () => {
          returned++;
          return { done: true as const, value: undefined };
        },
      }),
    };
    const waiting = toNodeReadable(stalled).resume();
    await new Promise(setImmediate);
    waiting.destroy();
    await once(waiting, "close");
    assert.equal(returned, 1);
  });

  test("toNodeWritable() writes to its sink in order, and ends it", async () => {
    const sink = new Sink();
    const stream = toNodeWritable(sink);
    stream.write("a");
    stream.end("b");
    await once(stream, "finish");
    assert.deepEqual([sink.text, sink.hasEnded], ["ab", true]);
    const failing = toNodeWritable({ write: () => Promise.reject(new Error("reset")) });
    failing.write("x");
    assert.match(String((await once(failing, "error"))[0]), /reset/);
  });

  test("toNodeDuplex() works as one end of a real socket does", async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as { port: number }).port, "127.0.0.1");
    const duplex = toNodeDuplex({
      ...fromNodeWritable(socket),
      [Symbol.asyncIterator]: () => socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>,
      close: () => void socket.destroy(),
    });
    duplex.end("echo");
    assert.equal(String(Buffer.concat(await duplex.toArray())), "echo");
    if (!duplex.closed) await once(duplex, "close");
    assert.ok(socket.destroyed);
    server.close();
  });
});

describe("Web streams", () => {
  test("both ways, with failures", async () => {
    const sink = new Sink();
    const web = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from("web"));
        controller.close();
      },
    });
    await copy(web, fromWebWritable(toWebWritable(sink)), { end: true });
    assert.deepEqual([sink.text, sink.hasEnded], ["web", true]);
    const failing = fromWebWritable(new WritableStream({ write: () => Promise.reject(new Error("refused")) }));
    await assert.rejects(async () => failing.write(Buffer.from("x")), /refused/);
    await assert.rejects(async () => failing.write(Buffer.from("x")), /refused/);
  });

  test("copy() into a sink that fails after the call has ended rejects once, and leaves no rejection that nobody handles", async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown): unknown => unhandled.push(error);
    process.on("unhandledRejection", note);
    try {
      const control = new AbortController();
      const aborting = {
        write(): never {
          control.abort();
          throw new Error("the sink has failed");
        },
      };
      const ended = { code: "ERR_RINGLOOM_ABORTED" };
      await assert.rejects(copy([Buffer.from("x")], aborting, { signal: control.signal }), ended);
      const slow = {
        write(): never {
          for (const end = performance.now() + 30; performance.now() < end; );
          throw new Error("the sink has failed");
        },
      };
      await assert.rejects(copy([Buffer.from("x")], slow, { timeoutMs: 10 }), { code: "ERR_RINGLOOM_TIMEOUT" });
      await new Promise(setImmediate);
      assert.deepEqual(unhandled, []);
    } finally {
      process.removeListener("unhandledRejection", note);
    }
  });

  test("toWebReadable() reads only what is asked for, and cancelling it closes the source", async () => {
    let given = 0;
    let closed = 0;
    async function* source() {
      try {
        for (;;) yield Buffer.from(String(given++));
      } finally {
        closed++;
      }
    }
    const reader = toWebReadable(source()).getReader();
    await new Promise(setImmediate);
    assert.equal(given, 0);
    assert.equal(String(Buffer.from((await reader.read()).value ?? [])), "0");
    assert.equal(given, 1);
    await reader.cancel();
    assert.equal(closed, 1);
  });
});
