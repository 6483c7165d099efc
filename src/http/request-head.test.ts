import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadPool, RequestHead, SPAN_WORDS } from "./request-head.js";
import { HttpStats } from "./stats.js";

/** A head over text, with spans found by splitting it. */
function headOf(text: string): RequestHead {
  const head = new RequestHead(Buffer.from(text, "latin1"), 20);
  const lines = text.split("\r\n");
  head.targetStart = text.indexOf(" ") + 1;
  head.targetLength = text.indexOf(" ", head.targetStart) - head.targetStart;
  head.pathStart = head.targetStart;
  head.pathLength = head.targetLength;
  let at = (lines[0] as string).length + 2;
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(":");
    const start = at + colon + 1 + (/^\s*/.exec(line.slice(colon + 1)) as RegExpExecArray)[0].length;
    head.spans.set([at, colon, start, at + line.length - start], head.headerCount * SPAN_WORDS);
    head.headerCount += 1;
    at += line.length + 2;
  }
  return head;
}

const TEXT =
  "GET /a HTTP/1.1\r\nHost: example \r\nX-A: 1\r\ncookie: a=1\r\nx-a:\t2 \t\r\nCookie: b=2\r\nEmpty:\r\nLatin: caf\xe9";

test("RequestHead.header() finds a name in any case and trims its value", () => {
  const head = headOf(TEXT);
  assert.equal(head.header("host"), "example");
  assert.equal(head.header("HOST"), "example");
  assert.equal(head.header("hos"), undefined);
  assert.equal(head.header("latin"), "café");
  assert.equal(head.header("empty"), "");
});

test("RequestHead.header() joins lines of one name, those of Cookie with a semicolon", () => {
  const head = headOf(TEXT);
  assert.equal(head.header("x-a"), "1, 2");
  assert.equal(head.header("Cookie"), "a=1; b=2");
});

test("RequestHead.find() does not confuse characters that differ in bit 5", () => {
  const head = headOf("GET / HTTP/1.1\r\n^-a: 1");
  assert.equal(head.find("~-a", 0), -1);
  assert.equal(head.find("^-A", 0), 0);
});

test("RequestHead.text() is the head from its target to its last value", () => {
  assert.equal(headOf(TEXT).text(), TEXT.slice(4));
  assert.equal(headOf("GET /x HTTP/1.1").text(), "/x HTTP/1.1");
});

test("RequestHead.copyFrom() keeps everything when the source is overwritten", () => {
  const source = headOf(TEXT);
  source.params.set([4, 2]);
  source.paramCount = 1;
  source.paramNames = ["p"];
  const before = source.text();
  const param = source.param(0);
  const copy = new RequestHead(Buffer.alloc(4), 20);
  copy.copyFrom(source);
  source.bytes.fill(0);
  assert.equal(copy.text(), before);
  assert.equal(copy.header("x-a"), "1, 2");
  assert.equal(copy.path(), "/a");
  assert.equal(copy.param(0), param);
});

test("RequestHead.valueEquals() ignores case and surrounding whitespace", () => {
  const head = headOf("GET / HTTP/1.1\r\nExpect: 100-Continue \t");
  assert.equal(head.valueEquals(0, "100-continue"), true);
  assert.equal(head.valueEquals(0, "100-continu"), false);
});

test("HeadPool.acquire() is bounded in bytes and reuses heads, small ones only", () => {
  const stats = new HttpStats();
  const pool = new HeadPool(10, 4096, 3 * (4096 + 160), stats);
  const heads = [pool.acquire(), pool.acquire(), pool.acquire()];
  assert.equal(pool.acquire(), undefined);
  assert.equal(stats.headArenasNow, 3);
  const first = heads[0] as RequestHead;
  first.append(Buffer.alloc(4000), 0, 4000);
  assert.ok(first.capacityBytes > 4000);
  for (const head of heads) pool.release(head as RequestHead);
  assert.equal(stats.headArenasNow, 0);
  assert.ok(first.capacityBytes < 4000);
  const again = pool.acquire() as RequestHead;
  assert.ok(heads.includes(again));
  assert.equal(again.used, 0);
});
