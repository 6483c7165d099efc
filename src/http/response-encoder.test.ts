import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import type { Driver } from "../driver/contract.js";
import { CoarseClock, formatHttpDate } from "./http-date.js";
import {
  CONNECTION_CLOSE,
  CONNECTION_DEFAULT,
  CONNECTION_KEEP,
  LENGTH_CHUNKED,
  LENGTH_UNTIL_CLOSE,
  NO_ROOM,
  ResponseEncoder,
  TOO_LARGE,
  TYPE_JSON,
  TYPE_NONE,
  TYPE_TEXT,
} from "./response-encoder.js";

/** The sending part of a driver: one growing block whose reservations are checked, with bytes around them that must not change. */
class Paper {
  readonly writeBytes = Buffer.alloc(4 * WRITE_BLOCK_BYTES_MAX, 0xee);
  offset = 64;
  reserved = 0;
  hasRoom = true;

  reserve(_slot: number, size: number): number {
    assert.equal(this.reserved, 0, "one reservation at a time");
    if (!this.hasRoom) return -1;
    this.reserved = size;
    return this.offset;
  }
  commit(_slot: number, length: number): void {
    assert.ok(length <= this.reserved);
    this.#checkBehind();
    this.offset += length;
    this.reserved = 0;
  }
  abort(): void {
    this.reserved = 0;
    this.writeBytes.fill(0xee, this.offset);
  }
  take(): string {
    const text = this.writeBytes.toString("latin1", 64, this.offset);
    this.writeBytes.fill(0xee);
    this.offset = 64;
    return text;
  }
  #checkBehind(): void {
    const end = this.offset + this.reserved;
    assert.ok(
      this.writeBytes.subarray(end, end + 64).every((byte) => byte === 0xee),
      "nothing is written behind a reservation",
    );
  }
}

function create(): { encoder: ResponseEncoder; paper: Paper; clock: CoarseClock; date: () => string } {
  const paper = new Paper();
  const clock = new CoarseClock();
  const encoder = new ResponseEncoder(paper as unknown as Driver, clock);
  return { encoder, paper, clock, date: () => `Date: ${clock.dateText}\r\n` };
}

test("ResponseEncoder.whole() writes status line, date, type, length, fields and body", () => {
  const { encoder, paper, date } = create();
  const size = encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_TEXT, ["x-a", "1", "x-b", "é"], "hello", false);
  const text = paper.take();
  assert.equal(size, text.length);
  assert.equal(
    text,
    `HTTP/1.1 200 OK\r\n${date()}Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\nx-a: 1\r\nx-b: \xe9\r\n\r\nhello`,
  );
});

test("ResponseEncoder.whole() says what becomes of the connection", () => {
  const { encoder, paper } = create();
  encoder.whole(0, 200, CONNECTION_CLOSE, TYPE_NONE, undefined, "", false);
  assert.match(paper.take(), /\r\nConnection: close\r\n/);
  encoder.whole(0, 200, CONNECTION_KEEP, TYPE_NONE, undefined, "", false);
  assert.match(paper.take(), /\r\nConnection: keep-alive\r\n/);
  encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, "", false);
  assert.doesNotMatch(paper.take(), /Connection/);
});

test("ResponseEncoder.whole() tells HEAD the length and sends no body", () => {
  const { encoder, paper } = create();
  encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_TEXT, undefined, "größe", true);
  const text = paper.take();
  assert.match(text, /Content-Length: 7\r\n/);
  assert.ok(text.endsWith("\r\n\r\n"));
});

test("ResponseEncoder.whole() sends neither body nor length with 204 and 304", () => {
  const { encoder, paper } = create();
  for (const status of [204, 304]) {
    encoder.whole(0, status, CONNECTION_DEFAULT, TYPE_JSON, ["etag", '"1"'], "{}", false);
    const text = paper.take();
    assert.doesNotMatch(text, /Content-Length/);
    assert.ok(text.endsWith('etag: "1"\r\n\r\n'));
    assert.equal(text.includes("Content-Type"), status === 304);
  }
});

test("ResponseEncoder.whole() sends length 0 with a null body", () => {
  const { encoder, paper } = create();
  encoder.whole(0, 302, CONNECTION_DEFAULT, TYPE_NONE, ["location", "/x"], null, false);
  assert.match(paper.take(), /^HTTP\/1\.1 302 Found\r\n[\s\S]*Content-Length: 0\r\nlocation: \/x\r\n\r\n$/);
});

test("ResponseEncoder.whole() writes any text and bytes, with their length in UTF-8", () => {
  const { encoder, paper } = create();
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 80 }), fc.uint8Array({ maxLength: 80 })), (body) => {
      const bytes = typeof body === "string" ? Buffer.from(body) : Buffer.from(body);
      encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, body, false);
      const text = paper.take();
      const [head = "", ...rest] = text.split("\r\n\r\n");
      assert.equal(rest.join("\r\n\r\n"), bytes.toString("latin1"));
      assert.match(head, new RegExp(`Content-Length: ${bytes.length}$`));
    }),
  );
});

test("ResponseEncoder.whole() leaves bodies above a write block to others", () => {
  const { encoder, paper } = create();
  assert.equal(
    encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, "x".repeat(WRITE_BLOCK_BYTES_MAX), false),
    TOO_LARGE,
  );
  assert.equal(
    encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, new Uint8Array(WRITE_BLOCK_BYTES_MAX), false),
    TOO_LARGE,
  );
  assert.ok(
    encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, new Uint8Array(WRITE_BLOCK_BYTES_MAX), true) > 0,
  );
  assert.match(paper.take(), /Content-Length: 65536\r\n\r\n$/);
});

test("ResponseEncoder.whole() returns NO_ROOM when the driver has none", () => {
  const { encoder, paper } = create();
  paper.hasRoom = false;
  assert.equal(encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_TEXT, undefined, "x", false), NO_ROOM);
  assert.equal(encoder.head(0, 200, CONNECTION_DEFAULT, TYPE_TEXT, undefined, 5), NO_ROOM);
  assert.equal(encoder.chunk(0, new Uint8Array(1), 0, 1), NO_ROOM);
  assert.equal(encoder.piece(0, new Uint8Array(1), 0, 1), NO_ROOM);
  assert.equal(encoder.continue(0), NO_ROOM);
});

test("ResponseEncoder.head() frames by length, by chunks, or by the end", () => {
  const { encoder, paper } = create();
  encoder.head(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, 12_345_678_901);
  assert.match(paper.take(), /Content-Length: 12345678901\r\n\r\n$/);
  encoder.head(0, 200, CONNECTION_DEFAULT, TYPE_NONE, undefined, LENGTH_CHUNKED);
  assert.match(paper.take(), /Transfer-Encoding: chunked\r\n\r\n$/);
  encoder.head(0, 200, CONNECTION_CLOSE, TYPE_NONE, undefined, LENGTH_UNTIL_CLOSE);
  assert.match(paper.take(), /GMT\r\nConnection: close\r\n\r\n$/);
});

test("ResponseEncoder.chunk() writes the size in hexadecimal around a part of the bytes", () => {
  const { encoder, paper } = create();
  encoder.chunk(0, Buffer.from("..abcdefghijklmnopqrstuvwxyz.."), 2, 26);
  assert.equal(paper.take(), "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n");
});

test("ResponseEncoder writes the date of the clock's second into templates made before", () => {
  const { encoder, paper, clock } = create();
  encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_TEXT, undefined, "a", false);
  paper.take();
  clock.epochSeconds = 86_400;
  clock.dateText = formatHttpDate(86_400_000);
  encoder.whole(0, 200, CONNECTION_DEFAULT, TYPE_TEXT, undefined, "a", false);
  assert.match(paper.take(), /Date: Fri, 02 Jan 1970 00:00:00 GMT\r\n/);
});

test("ResponseEncoder.typeIndex() knows the common types, learns others, and has no index for what is not ASCII or one too many", () => {
  const { encoder, paper } = create();
  assert.equal(encoder.typeIndex("application/json"), TYPE_JSON);
  const own = encoder.typeIndex("image/x-own");
  assert.equal(encoder.typeIndex("image/x-own"), own);
  encoder.whole(0, 200, CONNECTION_DEFAULT, own, undefined, "a", false);
  assert.match(paper.take(), /Content-Type: image\/x-own\r\n/);
  assert.equal(encoder.typeIndex("caf\xe9"), -1);
  const indexes = Array.from({ length: 100 }, (_, index) => encoder.typeIndex(`x/${index}`));
  assert.equal(indexes.at(-1), -1);
});
