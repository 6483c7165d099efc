import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { RecordingSink } from "../../test/support/recording-sink.js";
import { LargeBodyPool } from "./large-body-pool.js";
import { RequestBody } from "./request-body.js";
import { type BodySource, isBodySource, pumpBody } from "./response-body.js";

async function* generate(...chunks: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const chunk of chunks) yield chunk;
}

function requestBody(): RequestBody {
  const owner = { pauseBody() {}, resumeBody() {}, bodyWanted() {} };
  return new RequestBody(owner, { limitBytes: 100, expectedLength: -1, pool: new LargeBodyPool() });
}

function endedBody(text: string): RequestBody {
  const body = requestBody();
  body.push(Buffer.from(text), 0, text.length);
  body.end();
  return body;
}

test("pumpBody() sends every kind of source to its end", async () => {
  const sources: BodySource[] = [
    generate("ab", Buffer.from("c"), ""),
    ["a", new Uint8Array([0x62]), "c"],
    Readable.from([Buffer.from("ab"), Buffer.from("c")]),
    new Blob(["abc"]).stream(),
    ReadableStream.from(generate("ab", "c")) as ReadableStream<string>,
    endedBody("abc"),
    endedBody("abc").stream(),
  ];
  for (const source of sources) {
    assert.ok(isBodySource(source));
    const sink = new RecordingSink();
    await pumpBody(source, sink, { contentLength: 3 });
    assert.equal(sink.text, "abc");
    assert.deepEqual(
      sink.events.filter((event) => event !== "write"),
      ["end"],
    );
  }
});

test("pumpBody() sends text as UTF-8", async () => {
  const sink = new RecordingSink();
  await pumpBody(["grün", "€"], sink);
  assert.equal(sink.text, "grün€");
});

test("pumpBody() writes no empty chunk, which would end a chunked body", async () => {
  const sink = new RecordingSink();
  await pumpBody(["", "a", new Uint8Array(0), "b", ""], sink);
  assert.deepEqual(sink.events, ["write", "write", "end"]);
});

test("pumpBody() asks for the next chunk only when the sink has drained", async () => {
  const sink = new RecordingSink();
  sink.isFull = true;
  let pulled = 0;
  async function* source() {
    for (let index = 0; index < 3; index++) {
      pulled++;
      yield "x";
    }
  }
  const done = pumpBody(source(), sink);
  for (let expected = 1; expected <= 3; expected++) {
    await sink.waiting();
    assert.equal(pulled, expected);
    sink.drain();
  }
  await done;
  assert.equal(sink.text, "xxx");
});

test("pumpBody() fails the sink when the source fails", async () => {
  const broken = new Error("broken");
  async function* source() {
    yield "part";
    throw broken;
  }
  const streamSource = new ReadableStream({
    pull(controller) {
      controller.error(broken);
    },
  });
  for (const failing of [source(), streamSource]) {
    const sink = new RecordingSink();
    await pumpBody(failing, sink);
    assert.equal(sink.error, broken);
    assert.equal(sink.events.at(-1), "fail");
  }
});

test("pumpBody() stops the source and fails the sink when a chunk is neither text nor bytes", async () => {
  let returned = false;
  const source = {
    async *[Symbol.asyncIterator]() {
      try {
        yield 42 as unknown as string;
      } finally {
        returned = true;
      }
    },
  };
  const sink = new RecordingSink();
  await pumpBody(source, sink);
  assert.ok(sink.error instanceof TypeError);
  await new Promise(setImmediate);
  assert.equal(returned, true);
});

test("pumpBody() fails the sink when the source does not have the announced length", async () => {
  for (const source of [["ab"], ["abcd"]]) {
    const sink = new RecordingSink();
    await pumpBody(source, sink, { contentLength: 3 });
    assert.equal((sink.error as { code?: string }).code, "ERR_RINGLOOM_BODY_LENGTH");
    assert.ok(sink.text.length < 3, "no byte beyond the announced length leaves");
  }
});

test("pumpBody() fails the sink when the stream has a reader already", async () => {
  const stream = new Blob(["a"]).stream();
  stream.getReader();
  const sink = new RecordingSink();
  await pumpBody(stream, sink);
  assert.ok(sink.error instanceof TypeError);
  const body = endedBody("a");
  await body.text();
  const second = new RecordingSink();
  await pumpBody(body, second);
  assert.equal((second.error as { code?: string }).code, "ERR_RINGLOOM_BODY_USED");
});

test("pumpBody() cancels a web stream when the client goes", async () => {
  const sink = new RecordingSink();
  const { promise, resolve } = withResolvers<unknown>();
  const stream = new ReadableStream({ cancel: resolve });
  const done = pumpBody(stream, sink);
  sink.abort();
  assert.equal(((await promise) as { code?: string }).code, "ERR_RINGLOOM_ABORTED");
  await done;
  assert.deepEqual(sink.events, []);
});

test("pumpBody() destroys a Node stream when the client goes", async () => {
  const sink = new RecordingSink();
  const stream = new Readable({ read() {} });
  const done = pumpBody(stream, sink);
  sink.abort();
  await done;
  assert.equal(stream.destroyed, true);
  assert.deepEqual(sink.events, []);
});

test("pumpBody() returns an iterator when the client goes", async () => {
  const sink = new RecordingSink();
  sink.isFull = true;
  const { promise, resolve } = withResolvers<void>();
  async function* source() {
    try {
      for (;;) yield "x";
    } finally {
      resolve();
    }
  }
  const done = pumpBody(source(), sink);
  await sink.waiting();
  sink.abort();
  await promise;
  await done;
  assert.deepEqual(sink.events, ["write"]);
});

test("pumpBody() drops the rest of a request body when the client goes", async () => {
  const sink = new RecordingSink();
  const body = requestBody();
  const done = pumpBody(body, sink);
  sink.abort();
  await done;
  assert.equal(body.reading, false);
});

test("pumpBody() loses nothing when a request's stream was read in part before", async () => {
  const body = endedBody("abcdef");
  const stream = body.stream();
  const reader = stream.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(2));
  assert.equal(Buffer.from(value ?? []).toString(), "ab");
  reader.releaseLock();
  const sink = new RecordingSink();
  await pumpBody(stream, sink);
  assert.equal(sink.text, "cdef");
});

test("pumpBody() sends trailers that are known at the end", async () => {
  const sink = new RecordingSink();
  await pumpBody(["a"], sink, { trailers: () => ["x-sum", "1"] });
  assert.deepEqual(sink.trailers, ["x-sum", "1"]);
});

function withResolvers<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
