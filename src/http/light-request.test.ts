import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { type ExchangeInput, RecordingExchange } from "../../test/support/recording-exchange.js";
import { LightRequest } from "./light-request.js";
import { overrideWebGlobals } from "./web-globals.js";

const NativeRequest = globalThis.Request;

function light(input: ExchangeInput = {}): Request {
  return new LightRequest(new RecordingExchange(input)) as unknown as Request;
}

function post(body: string | Uint8Array, contentType = "text/plain"): Request {
  return light({
    method: "POST",
    headers: [
      ["Host", "example.org"],
      ["Content-Type", contentType],
    ],
    body,
  });
}

/** What a real Request with the same body would do: the light one must not differ. */
function realPost(body: string | Uint8Array, contentType = "text/plain"): Request {
  return new NativeRequest("http://example.org/", { method: "POST", headers: { "content-type": contentType }, body });
}

test("LightRequest has the attributes of a real Request", () => {
  const request = light({
    method: "DELETE",
    target: "/a/../b?c=%20",
    headers: [
      ["Host", "Example.org:80"],
      ["X-A", "1"],
    ],
  });
  assert.ok(request instanceof NativeRequest);
  assert.equal(request.constructor.name, "Request");
  assert.equal(request.method, "DELETE");
  assert.equal(request.url, "http://example.org/b?c=%20");
  assert.equal(request.headers.get("x-a"), "1");
  assert.equal(request.headers, request.headers);
  const real = new NativeRequest(request.url, { method: "DELETE" });
  for (const name of [
    "cache",
    "credentials",
    "destination",
    "duplex",
    "integrity",
    "keepalive",
    "mode",
    "redirect",
    "referrer",
    "referrerPolicy",
  ]) {
    assert.equal(Reflect.get(request, name), Reflect.get(real, name), name);
  }
  assert.match(inspect(request), /example\.org\/b/);
});

test("LightRequest.constructor throws 400 when the Host field or the target makes no URL", () => {
  assert.throws(() => light({ headers: [["Host", "user@a"]] }), { status: 400 });
  assert.throws(() => light({ target: "nothing" }), { status: 400 });
  assert.equal(light({ headers: [] }).url, "http://localhost/");
  assert.equal(light({ target: "*", method: "OPTIONS" }).url, "http://example.org/*");
});

test("LightRequest readers give what a real Request gives", async () => {
  const bodies = ["", "text", "\ufeffmark", '{"a":1}', Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xff)];
  const readers: ((request: Request) => Promise<unknown>)[] = [
    (request) => request.text(),
    (request) => request.json(),
    async (request) => new Uint8Array(await request.arrayBuffer()),
    async (request) => {
      const blob = await request.blob();
      return [blob.type, await blob.text()];
    },
  ];
  for (const body of bodies) {
    for (const read of readers) {
      assert.deepEqual(await settled(read(post(body))), await settled(read(realPost(body))));
    }
  }
  assert.deepEqual(await (post("abc") as unknown as LightRequest).bytes(), new Uint8Array([0x61, 0x62, 0x63]));
});

test("LightRequest.formData() parses both form types", async () => {
  const urlencoded = await post("a=1&b=%20", "application/x-www-form-urlencoded").formData();
  assert.deepEqual(
    [...urlencoded],
    [
      ["a", "1"],
      ["b", " "],
    ],
  );
  const body = '--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n';
  const multipart = await post(body, "multipart/form-data; boundary=x").formData();
  const file = multipart.get("f");
  assert.ok(file instanceof File);
  assert.equal(file.name, "a.txt");
  assert.equal(await file.text(), "hello");
  await assert.rejects(post("a", "text/plain").formData(), TypeError);
});

test("LightRequest.body is read once, whichever way", async () => {
  const consumers: ((request: Request) => Promise<unknown>)[] = [
    (request) => request.text(),
    (request) => request.json(),
    (request) => request.arrayBuffer(),
    (request) => request.blob(),
    async (request) => {
      for await (const _ of request.body ?? []);
    },
  ];
  for (const first of consumers) {
    for (const second of consumers) {
      const outcomes: unknown[] = [];
      for (const request of [post("1"), realPost("1")]) {
        assert.equal(request.bodyUsed, false);
        await first(request);
        assert.equal(request.bodyUsed, true);
        assert.throws(() => request.clone(), TypeError);
        outcomes.push(await settled(second(request)));
      }
      assert.equal(outcomes[0], outcomes[1]);
      if (second !== consumers.at(-1)) assert.equal(outcomes[0], TypeError);
    }
  }
});

test("LightRequest.body stays readable when only the stream was asked for", async () => {
  const request = post("abc");
  assert.equal(request.body, request.body);
  assert.equal(request.bodyUsed, false);
  assert.equal(await request.text(), "abc");
  assert.equal(request.bodyUsed, true);
  const locked = post("abc");
  locked.body?.getReader();
  await assert.rejects(locked.text(), TypeError);
});

test("LightRequest.body is null for GET, HEAD and a request without one", async () => {
  for (const request of [light(), light({ method: "HEAD" }), light({ method: "POST" }), light({ body: "ignored" })]) {
    assert.equal(request.body, null);
    assert.equal(await request.text(), "");
    assert.equal(request.bodyUsed, false);
    assert.equal((await request.arrayBuffer()).byteLength, 0);
  }
});

test("LightRequest.clone() gives two requests with the whole body", async () => {
  const request = post("abc");
  const clone = request.clone();
  assert.equal(await clone.text(), "abc");
  assert.equal(request.bodyUsed, false);
  assert.equal(await request.text(), "abc");
  assert.equal(request.bodyUsed, true);
  assert.equal(clone.headers.get("content-type"), "text/plain");
  assert.equal(light().clone().url, "http://example.org/");
});

test("LightRequest.signal is aborted with the exchange", () => {
  const exchange = new RecordingExchange();
  const request = new LightRequest(exchange);
  assert.equal(request.signal.aborted, false);
  exchange.controller.abort();
  assert.equal(request.signal.aborted, true);
});

test("the global Request takes a light one when the globals are overridden", async () => {
  overrideWebGlobals();
  overrideWebGlobals();
  assert.ok(post("a") instanceof Request);
  assert.ok(new NativeRequest("http://a/") instanceof Request);
  assert.equal(Request.name, "Request");
  const copy = new Request(post("abc"), { headers: { "x-a": "1" } });
  assert.equal(copy.method, "POST");
  assert.equal(copy.headers.get("x-a"), "1");
  assert.equal(await copy.text(), "abc");
  const used = post("abc");
  const taken = new Request(used);
  assert.equal(await taken.text(), "abc");
  assert.equal(used.bodyUsed, true);
  class Special extends Request {}
  assert.ok(new Special("http://a/") instanceof Special);
  assert.ok(!(new Request("http://a/") instanceof Special));
});

async function settled(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return (error as Error).constructor;
  }
}
