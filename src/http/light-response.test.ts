import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { inspect } from "node:util";
import { LightResponse } from "./light-response.js";

const NativeResponse = globalThis.Response;
const Light = LightResponse as unknown as typeof Response;
type Arguments = ConstructorParameters<typeof Response>;

/** Makes the same response twice: each test states what holds for both, so the real one is the oracle. */
const BOTH = [Light, NativeResponse];

async function describe(response: Response): Promise<unknown> {
  const { status, statusText, ok, type, url, redirected, bodyUsed } = response;
  const headers = [...response.headers].map(([name, value]) => [name, value.replace(/boundary=.*/, "boundary")]);
  const text = (await response.text()).replace(/-{4,}\S*/g, "boundary");
  return { status, statusText, ok, type, url, redirected, bodyUsed, headers, text, usedAfter: response.bodyUsed };
}

const CASES: (() => Arguments)[] = [
  () => [],
  () => [null],
  () => [undefined, undefined],
  () => [""],
  () => ["text"],
  () => ["grün \ud800 \ufeff"],
  () => ["\ufeffmark"],
  () => ["text", {}],
  () => ["text", { status: 404, statusText: "Nothing here" }],
  () => [null, { status: 204 }],
  () => [null, { status: 304, headers: { etag: '"a"' } }],
  () => ["text", { headers: { "Content-Type": "text/html", "X-A": " trimmed\t" } }],
  () => [
    "text",
    {
      headers: [
        ["x-a", "1"],
        ["X-A", "2"],
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ],
    },
  ],
  () => ["text", { headers: new Headers({ "x-a": "1" }) }],
  () => ["text", { headers: { "x-number": 5 as unknown as string, "X-NUMBER": "6" } }],
  () => ["text", { headers: { "content-type": "a/b", "Content-Type": "c/d" } }],
  () => ["text", { headers: { "x-empty": "", "x-latin": "\xe9" } }],
  () => [new Uint8Array([0x61, 0x62])],
  () => [new Uint8Array([0x61, 0x62]).buffer],
  () => [new DataView(new Uint8Array([0x61, 0x62, 0x63]).buffer, 1)],
  () => [new Uint16Array([0x6161])],
  () => [Buffer.from("pooled")],
  () => [new Blob(["blob"], { type: "image/png" })],
  () => [new Blob(["blob"])],
  () => [new URLSearchParams({ a: "1 2" })],
  () => [form()],
  () => [new Blob(["stream"]).stream()],
  () => [42 as unknown as string],
  () => [{ toString: () => "object" } as unknown as string],
  () => ["text", new NativeResponse("", { status: 418, headers: { "x-a": "1" } }) as ResponseInit],
  () => ["text", new Light("", { status: 418, headers: { "x-a": "1" } }) as ResponseInit],
];

test("LightResponse is what a real Response is, for every kind of body and init", async () => {
  for (const [index, make] of CASES.entries()) {
    const [light, real] = BOTH.map((Class) => new Class(...make()));
    assert.ok(light !== undefined && real !== undefined);
    assert.equal(light.body === null, real.body === null, `case ${index}`);
    assert.deepEqual(await describe(light), await describe(real), `case ${index}`);
    const [first, second] = BOTH.map((Class) => new Class(...make()));
    assert.ok(first !== undefined && second !== undefined);
    // The body is untouched here: the light one has made nothing real yet.
    assert.deepEqual(await describe(first), await describe(second), `case ${index}`);
  }
});

test("LightResponse refuses what a real Response refuses, when it is made", () => {
  const used = new Blob(["a"]).stream();
  used.getReader();
  const bad: Arguments[] = [
    ["text", { status: 204 }],
    ["text", { status: 304 }],
    [null, { status: 199 }],
    [null, { status: 600 }],
    [null, { status: Number.NaN }],
    [null, { statusText: "a\nb" }],
    [null, { headers: { "a b": "1" } }],
    [null, { headers: { a: "1\r\nb: 2" } }],
    [null, { headers: { a: "\u0100" } }],
    [null, { headers: { "": "1" } }],
    [null, { headers: [["a"]] as unknown as [string, string][] }],
    [used],
  ];
  for (const [index, each] of bad.entries()) {
    const errors = BOTH.map((Class) => outcome(() => new Class(...each)));
    assert.equal(errors[0], errors[1], `case ${index}`);
    assert.ok(errors[0] === TypeError || errors[0] === RangeError, `case ${index}`);
  }
  assert.throws(
    () => new Light(null, { headers: { a: "\u0001" } }),
    TypeError,
    "a control character is no part of a field value",
  );
});

test("LightResponse.json(), .redirect() and .error() give what the real ones give", async () => {
  for (const make of [
    (Class: typeof Response) => Class.json({ a: [1] }),
    (Class: typeof Response) =>
      Class.json("text", { status: 201, headers: { "content-type": "application/problem+json" } }),
    (Class: typeof Response) => Class.redirect("http://example.org/a b", 302),
    (Class: typeof Response) => Class.redirect("http://example.org/", 301),
    (Class: typeof Response) => Class.error(),
  ]) {
    const [light, real] = BOTH.map(make);
    assert.ok(light !== undefined && real !== undefined);
    assert.deepEqual(await describe(light), await describe(real));
  }
  for (const bad of [
    (Class: typeof Response) => Class.json(undefined),
    (Class: typeof Response) => Class.json({}, { status: 204 }),
    (Class: typeof Response) => Class.redirect("http://a/", 200 as 302),
    (Class: typeof Response) => Class.redirect("http://[", 302),
  ]) {
    const errors = BOTH.map((Class) => outcome(() => bad(Class)));
    assert.equal(errors[0], errors[1]);
  }
});

test("LightResponse copies bytes and headers when it is made", async () => {
  for (const Class of BOTH) {
    const bytes = Buffer.from("before");
    const headers = { "x-a": "before" };
    const real = new Headers(headers);
    const response = new Class(bytes, { headers });
    const other = new Class(null, { headers: real });
    const third = new Class(null, other as ResponseInit);
    bytes.fill(0x21);
    headers["x-a"] = "after";
    real.set("x-a", "after");
    other.headers.set("x-a", "after");
    assert.equal(response.headers.get("x-a"), "before");
    assert.equal(third.headers.get("x-a"), "before");
    assert.equal(await response.text(), "before");
  }
});

test("LightResponse bodies are read once, whichever way", async () => {
  const bodies = [() => "1", () => Buffer.from("1"), () => new Blob(["1"]), () => new Blob(["1"]).stream()];
  const consumers: ((response: Response) => Promise<unknown>)[] = [
    (response) => response.text(),
    (response) => response.json(),
    (response) => response.arrayBuffer(),
    (response) => response.blob(),
    async (response) => {
      for await (const _ of response.body ?? []);
    },
  ];
  for (const body of bodies) {
    for (const first of consumers) {
      for (const second of consumers) {
        const outcomes: unknown[] = [];
        for (const Class of BOTH) {
          const response = new Class(body());
          assert.equal(response.bodyUsed, false);
          await first(response);
          assert.equal(response.bodyUsed, true);
          assert.throws(() => response.clone(), TypeError);
          outcomes.push(await settled(second(response)));
        }
        assert.equal(outcomes[0], outcomes[1]);
        if (second !== consumers.at(-1)) assert.equal(outcomes[0], TypeError);
      }
    }
  }
});

test("LightResponse.clone() gives two responses that do not share what can change", async () => {
  for (const body of ["text", Buffer.from("text"), new Blob(["text"]), null]) {
    for (const make of [() => body, () => (body === null ? null : new Blob(["text"]).stream())]) {
      for (const Class of BOTH) {
        const response = new Class(make(), { status: 201, headers: { "x-a": "1" } });
        const clone = response.clone();
        clone.headers.set("x-a", "2");
        assert.equal(response.headers.get("x-a"), "1");
        assert.equal(clone.status, 201);
        assert.equal(await clone.text(), body === null ? "" : "text");
        assert.equal(response.bodyUsed, false);
        assert.equal(await response.text(), body === null ? "" : "text");
      }
    }
  }
});

test("LightResponse.bytes() and .blob() give the body and its type", async () => {
  const response = new Light("abc", { headers: { "content-type": "text/html" } });
  const blob = await response.clone().blob();
  assert.equal(blob.type, "text/html");
  assert.equal(await blob.text(), "abc");
  assert.deepEqual(await (response as unknown as LightResponse).bytes(), new Uint8Array([0x61, 0x62, 0x63]));
  const multipart = await new Light(form()).formData();
  assert.equal(multipart.get("a"), "1");
});

test("LightResponse takes an async iterable, as undici's does", async () => {
  assert.equal(await new Light(Readable.from([Buffer.from("a"), Buffer.from("b")]) as unknown as string).text(), "ab");
});

test("LightResponse and Response are instances of each other's class, subclasses of themselves", () => {
  assert.ok(new LightResponse("") instanceof NativeResponse);
  assert.ok(new NativeResponse("") instanceof LightResponse);
  assert.ok(!({} instanceof LightResponse));
  class Special extends Light {}
  assert.ok(new Special("") instanceof Special);
  assert.ok(new Special("") instanceof LightResponse);
  assert.ok(!(new LightResponse("") instanceof Special));
  assert.equal(LightResponse.name, "Response");
  assert.equal(Object.prototype.toString.call(new LightResponse("")), "[object Response]");
  assert.match(inspect(new LightResponse("", { status: 404 })), /404/);
});

function form(): FormData {
  const data = new FormData();
  data.append("a", "1");
  return data;
}

async function settled(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    return (error as Error).constructor;
  }
}

function outcome(action: () => unknown): unknown {
  try {
    action();
    return "made";
  } catch (error) {
    return (error as Error).constructor;
  }
}
