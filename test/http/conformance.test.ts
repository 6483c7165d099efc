/**
 * Runs every case of `cases/*.md`:
 *
 * - in memory, cut in two at every byte (long streams: at the first and last 200 bytes and at 200 or more places
 *   between), and byte by byte, delivered in a slab as io_uring does and in chunks as node:net does;
 * - over real sockets on each driver, whole and with a few cuts;
 * - against Node's own server, whose verdict must agree, or differ as the case says.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { MemoryPeer } from "../../src/driver/memory.js";
import { expectedAnswers, problemOf, streamOf } from "../support/case-check.js";
import { driversUnderTest } from "../support/drivers.js";
import { echoApp } from "../support/echo-app.js";
import { type HttpCase, readCases } from "../support/http-cases.js";
import { exchange } from "../support/http-wire.js";
import { askNode, type NodeOracle, oracleProblem, startNodeOracle } from "../support/node-oracle.js";
import { countersOf, MemoryServer, refusalProblem, SocketServer } from "../support/test-server.js";

const cases = readCases(fileURLToPath(new URL("../../../test/http/cases/", import.meta.url)));
const files = [...new Set(cases.map(({ file }) => file))];

/** The limits that `cases/limits.md` speaks of. */
const LIMITS = {
  bodyBytesMax: 65_536,
  bodyStreamBytesMax: 65_536,
  // All cuts of a case run at the same time.
  largeBodyBlocksMax: 4096,
  largeBodyBlockBytes: 65_536,
};
const SIZES = { writePoolBytes: 128 * 1024 * 1024 };
/** Streams longer than this are not cut at every byte. */
const EVERY_BYTE_MAX = 1200;

test("the case files hold at least 200 cases, with a title each of its own", () => {
  assert.ok(cases.length >= 200, `${cases.length} cases`);
  const titles = cases.map(({ file, title }) => `${file}: ${title}`);
  assert.equal(new Set(titles).size, titles.length);
});

for (const inSlab of [true, false]) {
  describe(`HttpServer answers each case, cut at every byte, ${inSlab ? "in a receive slab" : "in chunks"}`, () => {
    for (const file of files) {
      test(file, async () => {
        const server = await MemoryServer.start(echoApp(), { limits: LIMITS, sizes: SIZES, inSlab });
        const problems: string[] = [];
        for (const one of casesOf(file)) await collectProblems(problems, one, () => runInMemory(server, one));
        await server.close();
        assert.deepEqual(problems, []);
      });
    }
  });
}

for (const driver of driversUnderTest) {
  describe(`HttpServer answers each case over sockets on ${driver.name}`, { skip: driver.skip }, () => {
    for (const file of files) {
      test(file, async () => {
        const server = await SocketServer.start(driver, echoApp(), { limits: LIMITS });
        const problems: string[] = [];
        for (const one of casesOf(file)) await collectProblems(problems, one, () => runOverSockets(server, one));
        await server.close();
        assert.deepEqual(problems, []);
      });
    }
  });
}

describe("node:http agrees with each case, or differs as the case says", () => {
  let oracle: NodeOracle;
  before(async () => {
    oracle = await startNodeOracle();
  });
  after(() => oracle.close());
  for (const file of files) {
    test(file, async () => {
      const problems: string[] = [];
      for (const one of casesOf(file)) {
        await collectProblems(problems, one, async () => oracleProblem(one, await askNode(oracle.port, one)));
      }
      assert.deepEqual(problems, []);
    });
  }
});

function casesOf(file: string): HttpCase[] {
  return cases.filter((one) => one.file === file);
}

async function collectProblems(
  problems: string[],
  one: HttpCase,
  check: () => Promise<string | undefined>,
): Promise<void> {
  const problem = await check().catch((error: unknown) => String(error));
  if (problem !== undefined) problems.push(`${one.file}:${one.line} ${one.title}: ${problem}`);
}

/** All cuts of one case at the same time, each on a connection of its own, and then byte by byte. */
async function runInMemory(server: MemoryServer, one: HttpCase): Promise<string | undefined> {
  const stream = streamOf(one);
  const before = countersOf(server.stats);
  const runs: { readonly what: string; readonly peer: MemoryPeer; readonly rest: Buffer }[] = [];
  for (const cut of cutsOf(stream.length)) {
    const peer = server.open();
    if (cut > 0) peer.send(stream.subarray(0, cut));
    runs.push({ what: `cut at byte ${cut}`, peer, rest: stream.subarray(cut) });
  }
  await server.settle();
  for (const { peer, rest } of runs) {
    if (rest.length > 0) peer.send(rest);
    if (one.clientEnds) peer.end();
  }
  await server.settle();
  if (stream.length <= EVERY_BYTE_MAX) runs.push(await sendByteByByte(server, one, stream));
  for (const { peer } of runs) if (!one.clientEnds) peer.end();
  await server.settle();
  for (const { what, peer } of runs) {
    const problem = problemOf(one, peer.bytes) ?? (peer.isClosed ? undefined : "the connection is still open");
    if (problem !== undefined) return `${what}: ${problem}`;
  }
  return refusalProblem(before, server.stats, one.counter, runs.length) ?? server.leftover();
}

async function sendByteByByte(
  server: MemoryServer,
  one: HttpCase,
  stream: Buffer,
): Promise<{ what: string; peer: MemoryPeer; rest: Buffer }> {
  const peer = server.open();
  for (let at = 0; at < stream.length; at++) {
    peer.send(stream.subarray(at, at + 1));
    server.driver.turn();
  }
  if (one.clientEnds) peer.end();
  await server.settle();
  return { what: "byte by byte", peer, rest: Buffer.alloc(0) };
}

/** 0 is the whole stream in one piece. */
function cutsOf(length: number): number[] {
  if (length <= EVERY_BYTE_MAX) return Array.from({ length: Math.max(length, 1) }, (_, cut) => cut);
  const step = Math.max(61, Math.floor(length / 200));
  const cuts: number[] = [];
  for (let cut = 0; cut < length; cut++) {
    if (cut < 200 || cut > length - 200 || cut % step === 0) cuts.push(cut);
  }
  return cuts;
}

async function runOverSockets(server: SocketServer, one: HttpCase): Promise<string | undefined> {
  const stream = streamOf(one);
  const before = countersOf(server.stats);
  const middle = Math.floor(stream.length / 2);
  const cuts = [0, 1, middle, one.bytes.length, stream.length - 1].filter(
    (cut) => cut >= 0 && cut < Math.max(stream.length, 1),
  );
  const places = [...new Set(cuts)];
  const results = await Promise.all(
    places.map(async (cut) => {
      const writes = [stream.subarray(0, cut), stream.subarray(cut)].filter((bytes) => bytes.length > 0);
      const { bytes, reset } = await exchange(server.port, writes, { end: one.clientEnds });
      const problem =
        problemOf(one, bytes) ?? (reset && expectedAnswers(one).length > 0 ? "the connection was reset" : undefined);
      return problem === undefined ? undefined : `cut at byte ${cut}: ${problem}`;
    }),
  );
  await server.settle();
  const problem = results.find((result) => result !== undefined);
  return problem ?? refusalProblem(before, server.stats, one.counter, places.length) ?? server.leftover();
}
