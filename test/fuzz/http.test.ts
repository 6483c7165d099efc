/**
 * Random requests and random damage, against the server in memory. `RINGLOOM_SEED=… ` replays a run;
 * `RINGLOOM_FUZZ_RUNS=100000`, or `node dist/test/fuzz/http.test.js --runs 100000`, looks longer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MemoryPeer } from "../../src/driver/memory.js";
import { echoApp } from "../support/echo-app.js";
import { headerOf, parseAnswer, parseAnswers, type WireAnswer } from "../support/http-wire.js";
import { randomRun } from "../support/random-run.js";
import { readSeen, SEEN_HEADER, type SeenRequest } from "../support/seen.js";
import { MemoryServer } from "../support/test-server.js";
import { damage, mutations } from "./mutation-arbitrary.js";
import { cutAt, cuts, request } from "./request-arbitrary.js";

/** Requests on one connection. */
const requests = fc.array(request, { minLength: 1, maxLength: 5 });
/** When each of some clients resets: after how many pieces, and how many turns of the server later. */
const moments = fc.array(fc.record({ after: fc.nat(8), turns: fc.nat(12), isReading: fc.boolean() }), {
  minLength: 1,
  maxLength: 4,
});
const LIMITS = { bodyBytesMax: 65_536, bodyStreamBytesMax: 65_536 };

for (const inSlab of [true, false]) {
  const how = inSlab ? "a receive slab" : "chunks";

  test(`HttpServer hands random requests to the handler as they were sent, however they are cut, in ${how}`, async () => {
    const servers = new FreshServer(inSlab);
    const { seed, numRuns } = randomRun(`valid requests in ${how}`, 300);
    const property = fc.asyncProperty(requests, cuts, (sent, fractions) =>
      servers.use(async (server) => {
        const stream = Buffer.concat(sent.map(({ bytes }) => bytes));
        const peer = await deliver(server, cutAt(stream, fractions));
        const answers = parseAnswers(peer.bytes, (index) => sent[index]?.seen.method === "HEAD");
        assert.deepEqual(
          answers.map(seenBy),
          sent.map(({ seen }) => seen),
        );
        assert.equal(peer.hasEnd, false, "the connection stays open");
        await finish(server, peer);
      }),
    );
    await fc.assert(property, { seed, numRuns, includeErrorInReport: true });
    await servers.close();
  });

  test(`HttpServer answers or closes, leaks nothing and does not depend on the cuts when random damage arrives in ${how}`, async () => {
    const servers = new FreshServer(inSlab);
    const { seed, numRuns } = randomRun(`damaged requests in ${how}`, 300);
    const property = fc.asyncProperty(requests, mutations, cuts, (sent, changes, fractions) =>
      servers.use(async (server) => {
        const stream = damage(Buffer.concat(sent.map(({ bytes }) => bytes)), changes);
        const whole = await outcomeOf(server, [stream]);
        const cut = await outcomeOf(server, cutAt(stream, fractions));
        assert.deepEqual(cut, whole);
        assert.equal(server.stats.handlerErrors, 0);
      }),
    );
    await fc.assert(property, { seed, numRuns, includeErrorInReport: true });
    await servers.close();
  });

  test(`HttpServer keeps nothing of clients that reset at random moments, in ${how}`, async () => {
    const servers = new FreshServer(inSlab);
    const { seed, numRuns } = randomRun(`resets in ${how}`, 300);
    const property = fc.asyncProperty(requests, cuts, moments, (sent, fractions, list) =>
      servers.use(async (server) => {
        const pieces = cutAt(Buffer.concat(sent.map(({ bytes }) => bytes)), fractions);
        for (const { after, turns, isReading } of list) {
          const peer = server.open();
          peer.isReading = isReading;
          for (const piece of pieces.slice(0, after)) peer.send(piece);
          for (let turn = 0; turn < turns; turn++) {
            server.driver.turn();
            await Promise.resolve();
          }
          peer.reset();
        }
        await server.settle();
        assert.equal(server.leftover(), undefined);
        assert.equal(server.stats.handlerErrors, 0);
      }),
    );
    await fc.assert(property, { seed, numRuns, includeErrorInReport: true });
    await servers.close();
  });
}

/**
 * One server for all runs of a property, and a new one after a failure, so that shrinking starts from a sound state.
 */
class FreshServer {
  readonly #inSlab: boolean;
  #server: MemoryServer | undefined;

  constructor(inSlab: boolean) {
    this.#inSlab = inSlab;
  }

  async use(run: (server: MemoryServer) => Promise<void>): Promise<void> {
    this.#server ??= await MemoryServer.start(echoApp(), { limits: LIMITS, inSlab: this.#inSlab });
    try {
      await run(this.#server);
    } catch (error) {
      this.#server = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

/** Sends pieces, with turns of the server between them. */
async function deliver(server: MemoryServer, pieces: readonly Buffer[]): Promise<MemoryPeer> {
  const peer = server.open();
  for (const piece of pieces) {
    peer.send(piece);
    await server.settle();
  }
  await server.settle();
  return peer;
}

async function finish(server: MemoryServer, peer: MemoryPeer): Promise<void> {
  peer.end();
  await server.settle();
  assert.ok(peer.isClosed, "a connection whose client has ended is closed");
  assert.equal(server.leftover(), undefined);
}

/** What came back for a stream, in a form that two deliveries of it can be compared by. */
async function outcomeOf(server: MemoryServer, pieces: readonly Buffer[]): Promise<unknown[]> {
  const peer = await deliver(server, pieces);
  await finish(server, peer);
  return readOutcome(peer.bytes);
}

/**
 * Damage can make a HEAD of any request. Its answer has no body: a 200 is known by the header that HEAD alone gets,
 * and a refusal is the last thing on its connection, so that its head is the end.
 */
function readOutcome(bytes: Buffer): unknown[] {
  const outcome: unknown[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const headEnd = bytes.indexOf("\r\n\r\n", offset) + 4;
    const isHead =
      headEnd === bytes.length || bytes.toString("latin1", offset, headEnd).includes(`\r\n${SEEN_HEADER}: `);
    const [answer, next] = parseAnswer(bytes, offset, isHead);
    assert.ok(answer.status < 500 || answer.status === 501 || answer.status === 505, `status ${answer.status}`);
    if (answer.status >= 200) outcome.push(answer.status === 200 ? seenBy(answer) : answer.status);
    offset = next;
  }
  return outcome;
}

function seenBy(answer: WireAnswer): SeenRequest | string {
  const text = headerOf(answer, SEEN_HEADER) ?? answer.body.toString("latin1");
  assert.equal(answer.status, 200, `status ${answer.status}: ${text}`);
  return readSeen(text);
}
