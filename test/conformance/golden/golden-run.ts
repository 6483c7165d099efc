/** Feeds llhttp's golden cases to the server, whole and cut in two at every byte, and compares what its handler saw and how the connection ended. */
import { isDeepStrictEqual } from "node:util";
import type { MemoryPeer } from "../../../src/driver/memory.js";
import { echoApp } from "../../support/echo-app.js";
import { headerOf, parseAnswer, type WireAnswer } from "../../support/http-wire.js";
import { readSeen, SEEN_HEADER, type SeenRequest } from "../../support/seen.js";
import { MemoryServer } from "../../support/test-server.js";
import { type Difference, differenceOf } from "./differences.js";
import { ADDED_HOST, type GoldenCase } from "./golden-cases.js";

/** What the server made of the bytes of a case. */
export interface ServerOutcome {
  readonly requests: readonly SeenRequest[];
  /** The status of the refusal that ended the connection. */
  readonly refusal: number | undefined;
}

/** One case that was run. */
export interface GoldenResult {
  readonly id: string;
  readonly hasAddedHost: boolean;
  /** `agrees`, a difference that has a reason, or what is unexplained. */
  readonly verdict: "agrees" | "explained" | "unexplained";
  readonly reason: string;
}

const LIMITS = { bodyBytesMax: 65_536, bodyStreamBytesMax: 65_536 };
const SIZES = { writePoolBytes: 64 * 1024 * 1024 };
/** Longer streams are cut at every eleventh byte. */
const EVERY_BYTE_MAX = 2_000;
const SPARSE_STEP = 11;

/** Why a case says nothing about a server that parses requests strictly; undefined for one that does. */
export function notOursBecause(one: GoldenCase): string | undefined {
  if (one.mode.startsWith("response")) return "a response: what the server parses are requests";
  if (one.mode.includes("lenient")) return "a lenient mode, of which the server has none";
  if (one.mode === "request-finish") return "the return code of a C function for the end of input";
  if (one.skipsBody) return "a caller that has the parser pass over bodies";
  return undefined;
}

/** Runs all cases that concern a server, in a receive slab and in chunks. */
export async function runGolden(cases: readonly GoldenCase[]): Promise<GoldenResult[]> {
  const inSlab = await MemoryServer.start(echoApp(), { limits: LIMITS, sizes: SIZES, inSlab: true });
  const inChunks = await MemoryServer.start(echoApp(), { limits: LIMITS, sizes: SIZES, inSlab: false });
  const results: GoldenResult[] = [];
  try {
    for (const one of cases) {
      if (notOursBecause(one) !== undefined) continue;
      const outcome = await wholeAndCut(inSlab, one.bytes);
      const again = await wholeAndCut(inChunks, one.bytes);
      results.push(judge(one, outcome, again));
    }
  } finally {
    await inSlab.close();
    await inChunks.close();
  }
  return results;
}

function judge(one: GoldenCase, outcome: ServerOutcome | string, again: ServerOutcome | string): GoldenResult {
  const base = { id: one.id, hasAddedHost: one.hasAddedHost };
  const problem = typeof outcome === "string" ? outcome : typeof again === "string" ? again : undefined;
  if (problem !== undefined) return { ...base, verdict: "unexplained", reason: problem };
  if (!isDeepStrictEqual(outcome, again))
    return { ...base, verdict: "unexplained", reason: "a slab and chunks are read differently" };
  const difference: Difference = differenceOf(one, outcome as ServerOutcome);
  return { ...base, verdict: difference.verdict, reason: difference.reason };
}

/** What came of the bytes, or a text that tells which cut changed it. */
async function wholeAndCut(server: MemoryServer, bytes: Buffer): Promise<ServerOutcome | string> {
  const step = bytes.length <= EVERY_BYTE_MAX ? 1 : SPARSE_STEP;
  const runs: { readonly cut: number; readonly peer: MemoryPeer }[] = [];
  for (let cut = 0; cut < Math.max(bytes.length, 1); cut += step) {
    const peer = server.open();
    if (cut > 0) peer.send(bytes.subarray(0, cut));
    runs.push({ cut, peer });
  }
  await server.settle();
  for (const { cut, peer } of runs) peer.send(bytes.subarray(cut));
  await server.settle();
  // Before the client ends: what a server does with a request that is cut short is no matter of the parser.
  const outcomes = runs.map(({ peer }) => outcomeOf(peer.bytes));
  for (const { peer } of runs) peer.end();
  await server.settle();
  const whole = outcomes[0]!;
  const differing = outcomes.findIndex((outcome) => !isDeepStrictEqual(outcome, whole));
  if (differing >= 0) return `a cut at byte ${runs[differing]?.cut} changes the outcome`;
  const left = server.leftover();
  return left === undefined ? whole : left;
}

function outcomeOf(bytes: Buffer): ServerOutcome {
  const requests: SeenRequest[] = [];
  let refusal: number | undefined;
  for (let offset = 0; offset < bytes.length; ) {
    const headEnd = bytes.indexOf("\r\n\r\n", offset) + 4;
    const head = bytes.toString("latin1", offset, headEnd).toLowerCase();
    // An answer to HEAD has no body: it is known by the field that only such answers carry, and a refusal by being the last.
    const [answer, next] = parseAnswer(bytes, offset, headEnd === bytes.length || head.includes(`\r\n${SEEN_HEADER}:`));
    if (answer.status === 200) requests.push(seenIn(answer));
    else if (answer.status >= 300) refusal = answer.status;
    offset = next;
  }
  return { requests, refusal };
}

function seenIn(answer: WireAnswer): SeenRequest {
  const seen = readSeen(headerOf(answer, SEEN_HEADER) ?? answer.body.toString("latin1"));
  return { ...seen, headers: seen.headers.filter(([name, value]) => name !== "host" || value !== ADDED_HOST) };
}
