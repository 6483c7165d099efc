import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpParser, type ParserEvents } from "./llhttp.js";
import { checkHead, type HeadFindings } from "./request-checks.js";

/** Parses a head and returns what checkHead says, with what it found. */
function check(text: string): { status: number; path: string; query: string; authority: string; expects: boolean } {
  const findings: HeadFindings = { expectsContinue: false };
  const result = { status: -1, path: "", query: "", authority: "", expects: false };
  const events: ParserEvents = {
    headComplete() {
      const { head } = parser;
      result.status = checkHead(head, parser.majorVersion, parser.flags, findings);
      if (result.status === 0) {
        result.path = head.path();
        result.query = head.query();
        result.authority = head.authority();
      }
      result.expects = findings.expectsContinue;
      return 0;
    },
    bodyBytes: () => 0,
    trailerBytes: () => 0,
    messageComplete: () => false,
    simpleRequest() {
      this.headComplete();
      return false;
    },
  };
  const limits = { headersMax: 10, urlBytesMax: 1000, headerBytesMax: 2000, parserStatesMax: 1 };
  const parser = new HttpParser({ slabBytes: 4096, limits }, events);
  parser.bytes.latin1Write(text, parser.receiveSlab.offset, text.length);
  parser.runFresh(parser.receiveSlab.offset, text.length, 0);
  return result;
}

test("checkHead() finds path, query and authority in origin form", () => {
  const found = check("GET /a/b?c=d?e HTTP/1.1\r\nHost: example.org:80\r\n\r\n");
  assert.deepEqual(found, { status: 0, path: "/a/b", query: "c=d?e", authority: "example.org:80", expects: false });
});

test("checkHead() takes the authority of an absolute target before Host", () => {
  const found = check("GET http://one.example:81/a?b HTTP/1.1\r\nHost: two\r\n\r\n");
  assert.deepEqual(found, { status: 0, path: "/a", query: "b", authority: "one.example:81", expects: false });
  assert.equal(check("GET http://one.example HTTP/1.1\r\nHost: two\r\n\r\n").authority, "one.example");
});

test("checkHead() takes valid hosts and refuses others", () => {
  for (const host of ["a", "a.b", "127.0.0.1:1", "[::1]:80", "[v1.x]", "a:", "xn--e1afmkfd", "a_b", "%41"]) {
    assert.equal(check(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).status, 0, host);
  }
  for (const host of [
    "",
    "a b",
    "a/b",
    "a@b",
    "a:b",
    "a:99999",
    "[::1",
    "[]",
    "[::1]a",
    "a,b c",
    "a\\b",
    "a?b",
    "a#b",
    "a:1:2",
  ]) {
    assert.equal(check(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).status, 400, host);
  }
});

test("checkHead() refuses with the status that the RFCs ask for", () => {
  const cases: [number, string][] = [
    [400, "GET / HTTP/1.1\r\n\r\n"],
    [0, "GET / HTTP/1.0\r\n\r\n"],
    [400, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"],
    [400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"],
    [400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"],
    [400, "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"],
    [400, "GET /?#a HTTP/1.1\r\nHost: a\r\n\r\n"],
    [400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"],
    [0, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"],
    [400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    [400, "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n"],
    [501, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"],
    [501, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"],
    [417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n"],
    [505, "GET /\r\n\r\n"],
    [501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
    [400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"],
    [400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
    [400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 1\r\n\r\n"],
    [0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"],
  ];
  for (const [status, text] of cases) assert.equal(check(text).status, status, JSON.stringify(text));
});

test("checkHead() tells of Expect: 100-continue in HTTP/1.1 only", () => {
  assert.equal(check("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n").expects, true);
  assert.equal(check("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").expects, false);
});
