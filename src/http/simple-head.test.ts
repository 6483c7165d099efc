/** The short cut against llhttp and the checks behind it: whatever it accepts, they accept, with the same spans. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HttpParser, type ParserEvents } from "./llhttp.js";
import { PARSER_OK } from "./llhttp-numbers.js";
import { checkHead } from "./request-checks.js";
import { RequestHead } from "./request-head.js";
import { SIMPLE_HEAD_BYTES_MAX, SimpleHeadReader } from "./simple-head.js";

const HEADERS_MAX = 8;
const SEED = Number(process.env.RINGLOOM_SEED ?? Date.now() % 0x7fff_ffff);

/** What a head says, as text. */
function describeHead(head: RequestHead): string {
  const fields = Array.from({ length: head.headerCount }, (_, index) => `${head.name(index)}=${head.value(index)}`);
  const parts = [head.method, head.minorVersion, head.target(), head.path(), head.queryStart < 0 ? "-" : head.query()];
  return [
    ...parts,
    head.isEscaped,
    head.isAbsolute,
    head.hostIndex,
    head.authority(),
    head.end() - head.targetStart,
    ...fields,
  ].join("|");
}

/** The short cut's reading, or undefined when it leaves the head to llhttp. */
function readShort(text: string): { description: string; used: number } | undefined {
  const bytes = Buffer.from(text, "latin1");
  const head = new RequestHead(bytes, HEADERS_MAX);
  const reader = new SimpleHeadReader(head, new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  const used = reader.read(0, text.length, 0);
  return used < 0 ? undefined : { description: `${describeHead(head)}|true`, used };
}

/** llhttp's reading. The empty line in front, which a server ignores (RFC 9112, section 2.2), keeps the short cut out. */
function readLong(text: string): { description: string; used: number } | undefined {
  let description: string | undefined;
  let status = -1;
  const events: ParserEvents = {
    headComplete() {
      status = checkHead(parser.head, parser.majorVersion, parser.flags, { expectsContinue: false });
      description = `${describeHead(parser.head)}|${parser.keepAlive}`;
      return status;
    },
    bodyBytes: () => 400,
    trailerBytes: () => 400,
    messageComplete: () => false,
    simpleRequest: () => assert.fail("the short cut took what it was not to see"),
  };
  const limits = { headersMax: HEADERS_MAX, urlBytesMax: 1000, headerBytesMax: 2000, parserStatesMax: 1 };
  const parser = new HttpParser({ slabBytes: 4096, limits }, events);
  const start = parser.receiveSlab.offset;
  parser.bytes.latin1Write(`\r\n${text}`, start, text.length + 2);
  const errno = parser.runFresh(start, text.length + 2, 0);
  if (status !== 0 || description === undefined || errno === PARSER_OK) return undefined;
  return { description, used: parser.stoppedAt - start - 2 };
}

const SIMPLE =
  "GET /hello/ada?x=1&y=%20 HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\nConnection: Keep-Alive\r\n\r\n";

test("SimpleHeadReader.read() reads a plain request as llhttp does", () => {
  const short = readShort(SIMPLE);
  assert.ok(short !== undefined);
  assert.deepEqual(short, readLong(SIMPLE));
  assert.equal(short.used, SIMPLE.length);
});

test("SimpleHeadReader.read() stops where the next message starts", () => {
  assert.equal(readShort(SIMPLE + SIMPLE)?.used, SIMPLE.length);
});

test("SimpleHeadReader.read() leaves every incomplete head to llhttp", () => {
  for (let length = 0; length < SIMPLE.length; length++) assert.equal(readShort(SIMPLE.slice(0, length)), undefined);
});

test("SimpleHeadReader.read() leaves to llhttp what is not simple", () => {
  const host = "Host: a\r\n";
  const left = [
    `POST / HTTP/1.1\r\n${host}\r\n`,
    `get / HTTP/1.1\r\n${host}\r\n`,
    `GET * HTTP/1.1\r\n${host}\r\n`,
    `GET http://a/ HTTP/1.1\r\n${host}\r\n`,
    `GET /#f HTTP/1.1\r\n${host}\r\n`,
    `GET /\x80 HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.0\r\n${host}\r\n`,
    `GET  / HTTP/1.1\r\n${host}\r\n`,
    `GET /  HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.1\n${host}\r\n`,
    "GET / HTTP/1.1\r\n\r\n",
    `GET / HTTP/1.1\r\n${host}${host}\r\n`,
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    `GET / HTTP/1.1\r\n${host} folded\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: b\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: b\rc\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: \x00\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: \xe9\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}A: b\r\nC\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Connection: keep-alive, x\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Keep-Alive: 5\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Proxy-Connection: close\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Upgrade: h2c\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Trailer: x\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Expect: 100-continue\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}${"A: b\r\n".repeat(HEADERS_MAX)}\r\n`,
    `GET /${"x".repeat(SIMPLE_HEAD_BYTES_MAX)} HTTP/1.1\r\n${host}\r\n`,
  ];
  for (const text of left) assert.equal(readShort(text), undefined, JSON.stringify(text));
});

test("SimpleHeadReader.read() knows a Host again, and only that one", () => {
  const hosts = [
    "localhost:8080",
    "localhost:8081",
    "localhost:8080",
    "abc",
    "abd",
    "localhost:808",
    "localhost:8080",
    "local host",
    "localhost:8080",
  ];
  const text = hosts.map((host) => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).join("");
  const bytes = Buffer.from(text, "latin1");
  const head = new RequestHead(bytes, HEADERS_MAX);
  const reader = new SimpleHeadReader(head, new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  let at = 0;
  for (const host of hosts) {
    const next = reader.read(at, text.length, 0);
    assert.equal(next >= 0, host !== "local host");
    if (next >= 0) assert.equal(head.authority(), host);
    at = text.indexOf("\r\n\r\n", at) + 4;
  }
});

/** A parser that reads one head after the other, as a connection's requests come, and tells what it made of each. */
function createReader(): { read: (text: string, slot: number) => string | undefined; shortCuts: () => number } {
  let description: string | undefined;
  let shortCuts = 0;
  const events: ParserEvents = {
    headComplete() {
      const status = checkHead(parser.head, parser.majorVersion, parser.flags, { expectsContinue: false });
      if (status === 0) description = `${describeHead(parser.head)}|${parser.keepAlive}`;
      return status;
    },
    bodyBytes: () => 400,
    trailerBytes: () => 400,
    messageComplete: () => false,
    simpleRequest() {
      shortCuts += 1;
      description = `${describeHead(parser.head)}|${parser.keepAlive}`;
      return false;
    },
  };
  const limits = { headersMax: HEADERS_MAX, urlBytesMax: 1000, headerBytesMax: 2000, parserStatesMax: 1 };
  const parser = new HttpParser({ slabBytes: 8192, limits }, events);
  const read = (text: string, slot: number): string | undefined => {
    description = undefined;
    const start = parser.receiveSlab.offset + (slot & 7);
    parser.bytes.fill(0x41, start, start + 4096);
    parser.bytes.latin1Write(text, start, text.length);
    if (parser.runFresh(start, text.length, slot) !== PARSER_OK) return description;
    if (parser.inMessage) parser.dropMessage();
    return undefined;
  };
  return { read, shortCuts: () => shortCuts };
}

const LONG_FIELDS = `Host: a.example\r\nUser-Agent: ${"x".repeat(SIMPLE_HEAD_BYTES_MAX)}\r\nAccept: \xe9\r\n\r\n`;

test("HttpParser.runFresh() knows the fields of a connection again, however long, and not those that differ in one byte", () => {
  const { read, shortCuts } = createReader();
  const text = `GET /hello?a HTTP/1.1\r\n${LONG_FIELDS}`;
  const expected = readLong(text)?.description;
  assert.ok(expected !== undefined);
  for (let round = 0; round < 100; round++) assert.equal(read(text, 5), expected);
  assert.ok(shortCuts() > 50, `the short cut took ${shortCuts()} of 100`);
  for (let at = text.indexOf("Host"); at < text.length; at++) {
    const other = mutate(text, [at, text.charCodeAt(at) ^ 1, "replace"]);
    const before = shortCuts();
    assert.equal(read(other, 5), readLong(other)?.description, JSON.stringify(other.slice(at - 9, at + 9)));
    assert.equal(shortCuts(), before);
    for (let round = 0; round < 40; round++) read(text, 5);
    assert.ok(shortCuts() > before);
  }
});

test("HttpParser.runFresh() never takes what speaks of the connection or a body for known", () => {
  for (const field of ["Connection: close", "Upgrade: h2c", "Content-Length: 0", "Connection: upgrade", "Accept:"]) {
    const { read, shortCuts } = createReader();
    for (let round = 0; round < 40; round++) read(`GET / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`, 1);
    assert.equal(shortCuts(), 0, field);
  }
});

test(`HttpParser.runFresh() reads whatever follows whatever as llhttp alone does (RINGLOOM_SEED=${SEED})`, () => {
  const { read, shortCuts } = createReader();
  fc.assert(
    fc.property(headTexts(), fc.array(fc.tuple(fc.boolean(), fc.nat(2)), { maxLength: 8 }), (texts, order) => {
      for (const [second, slot] of order) {
        const text = texts[second ? 1 : 0];
        if (!text.startsWith("GET /")) continue;
        assert.deepEqual(read(text, slot), readLong(text)?.description, JSON.stringify(text));
      }
    }),
    { seed: SEED, numRuns: 1500 },
  );
  assert.ok(shortCuts() > 10, `the short cut took ${shortCuts()}`);
});

test(`SimpleHeadReader.read() accepts nothing that llhttp refuses or reads otherwise (RINGLOOM_SEED=${SEED})`, () => {
  let accepted = 0;
  fc.assert(
    fc.property(headTexts(), ([, text]) => {
      const short = readShort(text);
      if (short === undefined) return;
      accepted += 1;
      const long = readLong(text);
      assert.deepEqual(short, long);
    }),
    { seed: SEED, numRuns: 4000 },
  );
  assert.ok(accepted > 100, `only ${accepted} heads were simple`);
});

/** A head, and the same with a few bytes changed. */
function headTexts(): fc.Arbitrary<[string, string]> {
  const names = [
    "Host",
    "hOST",
    "Accept",
    "Expect",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Upgrade",
    "TE",
    "X-Y",
    "Cookie",
  ];
  const values = [
    "a",
    "localhost:80",
    "keep-alive",
    "close",
    "0",
    "5",
    "chunked",
    "gzip, br",
    "a b",
    " x ",
    "[::1]:8",
    "256:99999",
    "",
  ];
  const field = fc
    .tuple(
      fc.constantFrom(...names),
      fc.constantFrom(":", ": ", ":\t ", " :"),
      fc.constantFrom(...values),
      fc.constantFrom("\r\n", "\r\n", "\r\n", "\n"),
    )
    .map((parts) => parts.join(""));
  const target = fc.oneof(
    fc.constantFrom("/", "/hello/ada", "/a?b=c", "/%41?%", "/a//b;c", "*", "/#"),
    fc.string({ maxLength: 12 }).map((text) => `/${text}`),
  );
  const plain = fc
    .tuple(target, fc.array(field, { maxLength: 5 }))
    .map(([path, fields]) => `GET ${path} HTTP/1.1\r\nHost: h\r\n${fields.join("")}\r\n`);
  const mutation = fc.tuple(
    fc.nat(300),
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom("replace", "insert", "delete"),
  );
  return fc
    .tuple(plain, fc.array(mutation, { maxLength: 3 }))
    .map(([text, mutations]) => [text, mutations.reduce(mutate, text)]);
}

function mutate(text: string, [position, byte, how]: [number, number, string]): string {
  const at = position % (text.length + 1);
  const middle = how === "delete" ? "" : String.fromCharCode(byte);
  return text.slice(0, at) + middle + text.slice(how === "insert" ? at : at + 1);
}
