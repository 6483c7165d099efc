import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpParser, type ParserEvents } from "./llhttp.js";
import { PARSER_OK, PARSER_PAUSED } from "./llhttp-numbers.js";
import { HeadPool, type RequestHead } from "./request-head.js";
import { HttpStats } from "./stats.js";

const LIMITS = { headersMax: 8, urlBytesMax: 64, headerBytesMax: 256, parserStatesMax: 2 };

/** Records what a parser tells. */
class Recorder implements ParserEvents {
  readonly seen: string[] = [];
  parser: HttpParser | undefined;
  pauses = false;

  headComplete(): number {
    const head = this.parser?.head as RequestHead;
    const fields = Array.from({ length: head.headerCount }, (_, index) => `${head.name(index)}=${head.value(index)}`);
    this.seen.push(`head ${head.target()} ${fields.join(" ")}`);
    return 0;
  }
  bodyBytes(offset: number, length: number): number {
    this.seen.push(`body ${this.parser?.bytes.latin1Slice(offset, offset + length)}`);
    return 0;
  }
  trailerBytes(isValue: boolean, offset: number, length: number): number {
    this.seen.push(`${isValue ? "value" : "name"} ${this.parser?.bytes.latin1Slice(offset, offset + length)}`);
    return 0;
  }
  messageComplete(): boolean {
    this.seen.push("complete");
    return !this.pauses;
  }
  simpleRequest(): boolean {
    this.headComplete();
    return this.messageComplete();
  }
}

function create(): { parser: HttpParser; recorder: Recorder; put: (text: string) => [number, number, number] } {
  const recorder = new Recorder();
  const parser = new HttpParser({ slabBytes: 8192, limits: LIMITS }, recorder);
  recorder.parser = parser;
  const put = (text: string): [number, number, number] => {
    parser.bytes.latin1Write(text, parser.receiveSlab.offset, text.length);
    return [parser.receiveSlab.offset, text.length, 0];
  };
  return { parser, recorder, put };
}

test("HttpParser has its receive slab inside its memory, aligned to pages", () => {
  const { parser } = create();
  assert.equal(parser.receiveSlab.bytes, parser.bytes);
  assert.equal(parser.receiveSlab.offset % 4096, 0);
  assert.equal(parser.receiveSlab.length, 8192);
  assert.ok(parser.scratchOffset >= parser.receiveSlab.offset + 8192);
});

test("HttpParser.runFresh() parses several messages in one run", () => {
  const { parser, recorder, put } = create();
  assert.equal(
    parser.runFresh(...put("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost:  b \r\nE:\r\n\r\n")),
    PARSER_OK,
  );
  assert.deepEqual(recorder.seen, ["head /1 Host=a", "complete", "head /2 Host=b E=", "complete"]);
  assert.equal(parser.inMessage, false);
});

test("HttpParser.runFresh() stops behind a message when it is asked to, and starts afresh after that", () => {
  const { parser, recorder, put } = create();
  recorder.pauses = true;
  const first = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
  const [offset, length] = put(`${first}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.equal(parser.runFresh(offset, length, 0), PARSER_PAUSED);
  assert.equal(parser.stoppedAt, offset + first.length);
  assert.equal(parser.runFresh(parser.stoppedAt, length - first.length, 0), PARSER_PAUSED);
  assert.deepEqual(recorder.seen, ["head /1 Host=a", "complete", "head /2 Host=a", "complete"]);
});

test("HttpParser.runSaved() puts a message together that was cut anywhere", () => {
  const text = "POST /path?q HTTP/1.1\r\nHost: abc\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nT: u\r\n\r\n";
  for (let cut = 1; cut < text.length; cut++) {
    const { parser, recorder, put } = create();
    const pool = new HeadPool(LIMITS.headersMax, LIMITS.headerBytesMax, 1 << 20, new HttpStats());
    const [offset, length] = put(text.slice(0, cut));
    assert.equal(parser.runFresh(offset, length, 0), PARSER_OK);
    const state = parser.saveState();
    let head: RequestHead | undefined;
    if (!parser.inBody) {
      head = pool.acquire();
      const live = parser.head;
      head?.beginFrom(
        live,
        live.targetLength === 0 ? Math.max(offset, offset + length - 16) : live.targetStart - 2,
        offset + length,
      );
    }
    assert.equal(parser.runSaved(state, head, offset, put(text.slice(cut))[1]), PARSER_PAUSED);
    const joined = recorder.seen.join("|").replaceAll("|body ", "").replaceAll("complete", "");
    assert.ok(recorder.seen.includes("head /path?q Host=abc Transfer-Encoding=chunked"), `cut at ${cut}: ${joined}`);
    assert.equal(
      recorder.seen
        .filter((event) => event.startsWith("body"))
        .join("")
        .replaceAll("body ", ""),
      "xyz",
    );
    assert.equal(recorder.seen.at(-1), "complete");
  }
});

test("HttpParser.saveState() returns 0 when every state is taken, and works again after a release", () => {
  const { parser, put } = create();
  const states = [0, 1, 2].map(() => {
    parser.runFresh(...put("GET / HT"));
    return parser.saveState();
  });
  assert.notEqual(states[0], 0);
  assert.notEqual(states[1], 0);
  assert.equal(states[2], 0);
  parser.releaseState(states[0] as number);
  parser.runFresh(...put("GET / HT"));
  assert.equal(parser.saveState(), states[0]);
});

test("HttpParser refuses what exceeds its limits, with the status that says so", () => {
  const cases: [number, string][] = [
    [414, `GET /${"x".repeat(64)} HTTP/1.1\r\n\r\n`],
    [431, `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(9)}\r\n`],
    [431, `GET / HTTP/1.1\r\na: ${"b".repeat(256)}\r\n\r\n`],
  ];
  for (const [status, text] of cases) {
    const { parser, put } = create();
    assert.ok(parser.runFresh(...put(text)) > 0);
    assert.equal(parser.rejectStatus, status);
    assert.equal(parser.runFresh(...put("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), PARSER_OK);
  }
});

test("HttpParser keeps working after a callback threw", () => {
  const { parser, recorder, put } = create();
  const { messageComplete } = recorder;
  recorder.messageComplete = () => {
    throw new Error("broken");
  };
  assert.throws(() => parser.runFresh(...put("GET / HTTP/1.1\r\n\r\n")), /broken/);
  recorder.messageComplete = messageComplete;
  assert.equal(parser.isRunning, false);
  assert.equal(parser.runFresh(...put("GET /again HTTP/1.1\r\n\r\n")), PARSER_OK);
  assert.ok(recorder.seen.includes("head /again "));
});
