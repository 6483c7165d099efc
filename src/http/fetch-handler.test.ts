import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as undici from "undici";
import { type ExchangeInput, type RecordedAnswer, RecordingExchange } from "../../test/support/recording-exchange.js";
import { type FetchHandler, isFetchHandler, respondWithFetch } from "./fetch-handler.js";
import { LightResponse } from "./light-response.js";

const NativeResponse = globalThis.Response;
const Light = LightResponse as unknown as typeof Response;
const BOTH = [Light, NativeResponse];

type Fetch = FetchHandler["fetch"];

function run(fetch: Fetch, input: ExchangeInput = {}): RecordingExchange {
  const exchange = new RecordingExchange(input);
  respondWithFetch({ fetch }, exchange);
  return exchange;
}

function answer(fetch: Fetch, input: ExchangeInput = {}): Promise<RecordedAnswer> {
  return run(fetch, input).result();
}

test("respondWithFetch() answers before it returns when the handler is synchronous", () => {
  const exchange = run((request) => new Light(new URL(request.url).pathname, { headers: { "x-a": "1" } }), {
    target: "/hello",
  });
  assert.deepEqual(exchange.answered, {
    status: 200,
    contentType: "text/plain;charset=UTF-8",
    headers: ["x-a", "1"],
    body: "/hello",
    contentLength: undefined,
  });
});

test("respondWithFetch() sends whole bodies with their length, light and real ones alike", async () => {
  const bodies = ["text", "", Buffer.from("bytes"), new Uint8Array(0).buffer, null, new URLSearchParams({ a: "1" })];
  for (const body of bodies) {
    const init = {
      status: 201,
      headers: [
        ["x-a", "1"],
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ] as [string, string][],
    };
    const expected = await new NativeResponse(body).text();
    for (const Class of BOTH) {
      for (const fetch of [() => new Class(body, init), async () => new Class(body, init)]) {
        const { status, headers, body: sent } = await answer(fetch);
        assert.equal(status, 201);
        assert.equal(sent, expected);
        const pairs = [headers.slice(0, 2), headers.slice(2, 4), headers.slice(4, 6)].map((pair) => pair.join("="));
        assert.deepEqual(pairs.sort(), ["set-cookie=a=1", "set-cookie=b=2", "x-a=1"]);
      }
    }
  }
});

test("respondWithFetch() sends headers that were changed after the response was made", async () => {
  for (const Class of BOTH) {
    const { contentType, headers } = await answer(() => {
      const response = new Class("text");
      response.headers.set("content-type", "text/html");
      response.headers.set("x-a", "1");
      return response;
    });
    assert.equal(contentType, "text/html");
    assert.deepEqual(headers, ["x-a", "1"]);
  }
});

test("respondWithFetch() leaves framing to the connection", async () => {
  for (const Class of BOTH) {
    const headers = {
      connection: "keep-alive, Close",
      "content-length": "99",
      "transfer-encoding": "chunked",
      "keep-alive": "timeout=5",
      date: "x",
      "x-a": "1",
    };
    const exchange = run(() => new Class(null, { headers }));
    assert.deepEqual((await exchange.result()).headers, ["x-a", "1"]);
    assert.equal(exchange.closes, true);
  }
  const whole = run(() => new Light("four", { headers: { "content-length": "99" } }));
  assert.equal((await whole.result()).body, "four");
  assert.equal(whole.closes, false);
});

test("respondWithFetch() streams a body without length, and one with the length that was set", async () => {
  const stream = () =>
    new ReadableStream({
      async start(controller) {
        for (const part of ["a", "b", "c"]) {
          controller.enqueue(Buffer.from(part));
          await new Promise(setImmediate);
        }
        controller.close();
      },
    });
  for (const Class of BOTH) {
    for (const headers of [{}, { "content-length": "3" }]) {
      const exchange = run(() => new Class(stream(), { headers }));
      const { contentLength } = await exchange.result();
      assert.equal(contentLength, "content-length" in headers ? 3 : -1);
      await exchange.sink.over();
      assert.equal(exchange.sink.text, "abc");
      assert.deepEqual(exchange.sink.events, ["write", "write", "write", "end"]);
    }
  }
});

test("respondWithFetch() sends the head of a real Response whose first chunk takes its time", async () => {
  let send: (text: string) => void = () => {};
  const exchange = run(
    () =>
      new NativeResponse(
        new ReadableStream({
          start(controller) {
            send = (text) => {
              controller.enqueue(Buffer.from(text));
              controller.close();
            };
          },
        }),
      ),
  );
  assert.equal((await exchange.result()).contentLength, -1);
  send("late");
  await exchange.sink.over();
  assert.equal(exchange.sink.text, "late");
});

test("respondWithFetch() sends a Blob with its length and its type", async () => {
  const exchange = run(() => new Light(new Blob(["blob"], { type: "image/png" })));
  const { contentLength, contentType } = await exchange.result();
  assert.deepEqual([contentLength, contentType], [4, "image/png"]);
  await exchange.sink.over();
  assert.equal(exchange.sink.text, "blob");
});

test("respondWithFetch() sends FormData with the boundary that its type names", async () => {
  const data = new FormData();
  data.append("a", "1");
  const exchange = run(() => new Light(data));
  const { contentType } = await exchange.result();
  await exchange.sink.over();
  const back = await new NativeResponse(exchange.sink.text, {
    headers: { "content-type": contentType ?? "" },
  }).formData();
  assert.equal(back.get("a"), "1");
});

test("respondWithFetch() sends an async iterable", async () => {
  const exchange = run(() => new Light(Readable.from([Buffer.from("a"), Buffer.from("b")]) as unknown as string));
  await exchange.sink.over();
  assert.equal(exchange.sink.text, "ab");
});

test("respondWithFetch() sends a body of which only the stream was looked at", async () => {
  for (const Class of BOTH) {
    const { body } = await answer(() => {
      const response = new Class("text");
      assert.ok(response.body !== null);
      return response;
    });
    assert.equal(body, "text");
  }
});

test("respondWithFetch() sends a request's body back without end or beginning lost", async () => {
  for (const Class of BOTH) {
    for (const readBody of [(request: Request) => request.body, (request: Request) => request.clone().body]) {
      const exchange = run((request) => new Class(readBody(request)), { method: "POST", body: "echo" });
      const { body } = await exchange.result();
      if (body === undefined) await exchange.sink.over();
      assert.equal(body ?? exchange.sink.text, "echo");
    }
  }
});

test("respondWithFetch() sends no body to HEAD and cancels its source", async () => {
  for (const Class of BOTH) {
    const text = run(() => new Class("text"), { method: "HEAD" });
    const { body, contentLength } = await text.result();
    // A light text keeps its length; a real one can tell it only by being read, which HEAD does not need.
    assert.ok(body === "text" || contentLength === -1);
    let cancelled: (value?: unknown) => void = () => {};
    const done = new Promise((resolve) => {
      cancelled = resolve;
    });
    const stream = run(() => new Class(new ReadableStream({ cancel: cancelled })), { method: "HEAD" });
    await stream.result();
    await done;
    const length = await answer(() => new Class(null, { headers: { "content-length": "1234" } }), { method: "HEAD" });
    assert.equal(length.contentLength, 1234);
  }
});

test("respondWithFetch() passes what a handler throws or rejects with to the error hook", async () => {
  const broken = new Error("broken");
  const throwing: Fetch[] = [
    () => {
      throw broken;
    },
    async () => {
      throw broken;
    },
    () => Promise.reject(broken),
  ];
  for (const fetch of throwing) await assert.rejects(answer(fetch), (error) => error === broken);
});

test("respondWithFetch() passes a TypeError to the error hook when the handler returns no Response", async () => {
  for (const value of [undefined, null, "text", 42, {}, { status: 200 }]) {
    await assert.rejects(
      answer(() => value as unknown as Response),
      TypeError,
    );
    await assert.rejects(
      answer(async () => value as unknown as Response),
      TypeError,
    );
  }
  await assert.rejects(
    answer(() => NativeResponse.error()),
    TypeError,
  );
});

test("respondWithFetch() passes a TypeError to the error hook when the body was read or locked before", async () => {
  for (const Class of BOTH) {
    for (const body of [() => "text", () => new Blob(["text"]).stream()]) {
      const used = new Class(body());
      await used.text();
      await assert.rejects(
        answer(() => used),
        TypeError,
      );
      const locked = new Class(body());
      locked.body?.getReader();
      await assert.rejects(
        answer(() => locked),
        TypeError,
      );
    }
  }
  const twice = new Light("text");
  await answer(() => twice);
  assert.equal(twice.bodyUsed, true);
  await assert.rejects(
    answer(() => twice),
    TypeError,
  );
});

test("respondWithFetch() passes the error of a body that fails at once to the error hook, and aborts when it fails later", async () => {
  const broken = new Error("broken");
  const failing = () =>
    new ReadableStream({
      pull(controller) {
        controller.error(broken);
      },
    });
  await assert.rejects(
    answer(() => new NativeResponse(failing())),
    (error) => error === broken,
  );
  const later = run(() => new Light(failing()));
  await later.sink.over();
  assert.equal(later.sink.error, broken);
});

test("respondWithFetch() answers 400 through the error hook when no URL can be made of the request", async () => {
  await assert.rejects(
    answer(() => new Light(""), { headers: [["Host", "a/b"]] }),
    { status: 400 },
  );
});

test("respondWithFetch() cancels the body when the client goes", async () => {
  for (const Class of BOTH) {
    let cancelled: (value?: unknown) => void = () => {};
    const done = new Promise((resolve) => {
      cancelled = resolve;
    });
    const exchange = run(() => new Class(new ReadableStream({ cancel: cancelled })));
    await exchange.result();
    exchange.sink.abort();
    await done;
    assert.deepEqual(exchange.sink.events, []);
  }
});

test("respondWithFetch() takes the Response of another implementation", async () => {
  const fetch = () => new undici.Response("text", { status: 202, headers: { "x-a": "1" } }) as unknown as Response;
  const { status, headers, body } = await answer(fetch);
  assert.deepEqual([status, headers, body], [202, ["x-a", "1"], "text"]);
});

test("respondWithFetch() hands the client's address to the handler, and a request that stays readable", async () => {
  const { body } = await answer(async (request, info) => {
    await null;
    return new Light(`${info.remoteAddress} ${request.headers.get("host")}`);
  });
  assert.equal(body, "192.0.2.1 example.org");
});

test("isFetchHandler() knows objects with a fetch function", () => {
  assert.equal(isFetchHandler({ fetch: () => new Light("") }), true);
  for (const value of [undefined, null, 1, {}, { fetch: 1 }, () => {}]) assert.equal(isFetchHandler(value), false);
});
