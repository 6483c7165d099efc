import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { closeHandedOn, handedOn } from "./handed-on.js";

const LARGE = 65_536;

describe("handedOn()", () => {
  test("finds ports, streams and large buffers wherever the value has them, each once", () => {
    const { port1, port2 } = new MessageChannel();
    const whole = new Uint8Array(LARGE);
    const bare = new ArrayBuffer(LARGE);
    const stream = new ReadableStream();
    const value = { list: [port1, new Map([["key", { whole }]])], again: whole, set: new Set([bare]), stream };
    Object.assign(value, { self: value });
    const found = handedOn(value);
    assert.equal(found.length, 4);
    assert.deepEqual(new Set<unknown>(found), new Set<unknown>([port1, whole.buffer, bare, stream]));
    port1.close();
    port2.close();
  });

  test("leaves alone what is small, shared, or a part of a buffer", () => {
    const parts = [new Uint8Array(8), new Uint8Array(new ArrayBuffer(LARGE), 1), Buffer.alloc(10)];
    const shared = new Int32Array(new SharedArrayBuffer(LARGE));
    assert.deepEqual(handedOn({ parts, shared, date: new Date(), none: null, text: "text" }), []);
  });
});

describe("closeHandedOn()", () => {
  test("tells the other end of a port", async () => {
    const { port1, port2 } = new MessageChannel();
    const told = new Promise((resolve) => port2.once("close", resolve));
    port2.ref();
    closeHandedOn(handedOn([port1]));
    await told;
  });
});
