/** Feeds the corpus to the server itself, and compares what it accepts with the strict reading of the grammar. */
import type { MemoryPeer } from "../../../src/driver/memory.js";
import { App } from "../../../src/http/index.js";
import { MemoryServer } from "../../support/test-server.js";
import { type Mutation, numbered, targetsOf } from "./corpus.js";
import { deviationOf } from "./deviations.js";
import { type Reading, readStrictly } from "./reference-reader.js";

/** The count of one group of mutations. */
export interface GroupScore {
  readonly group: string;
  readonly mutations: number;
  /** The handler saw no request of it. */
  readonly refused: number;
  /** It has one meaning, and that is the one that the handler saw. */
  readonly accepted: number;
  /** The grammar allows it, the server does not: what it is strict about. */
  readonly stricter: number;
}

/** A mutation that is accepted beyond the grammar, for a reason. */
export interface ExplainedMutation {
  readonly name: string;
  readonly reason: string;
}

export interface DirectResult {
  readonly groups: readonly GroupScore[];
  readonly explained: readonly ExplainedMutation[];
  /** Mutations of which the handler saw more than the grammar allows, or something else. */
  readonly problems: readonly string[];
}

/** Mutations that are open at the same time. */
const BATCH = 256;
const LIMITS = { bodyBytesMax: 65_536, bodyStreamBytesMax: 65_536 };
const SIZES = { writePoolBytes: 64 * 1024 * 1024 };

/** Runs all of `corpus`, in a receive slab or in chunks. */
export async function runDirectly(corpus: readonly Mutation[], inSlab: boolean): Promise<DirectResult> {
  const server = await MemoryServer.start(recordingApp(), { limits: LIMITS, sizes: SIZES, inSlab });
  const problems: string[] = [];
  const explained: ExplainedMutation[] = [];
  const groups = new Map<string, { mutations: number; refused: number; accepted: number; stricter: number }>();
  try {
    for (let from = 0; from < corpus.length; from += BATCH) {
      const batch = corpus.slice(from, from + BATCH).map((one, index) => ({ one, bytes: numbered(one, from + index) }));
      const peers = batch.map(({ bytes }) => deliver(server, bytes));
      await server.settle();
      for (const peer of peers) peer.end();
      await server.settle();
      for (const [index, { one, bytes }] of batch.entries()) {
        const targets = targetsIn(peers[index]!.bytes);
        const reading = readStrictly(bytes);
        const problem = problemOf(targets, reading);
        const reason = problem === undefined ? undefined : deviationOf(one.name);
        if (reason !== undefined) explained.push({ name: one.name, reason });
        else if (problem !== undefined) problems.push(`${one.name}: ${problem} (${targetsOf(from + index).outer})`);
        count(groups, one.group, { targets, reading });
      }
      const left = server.leftover();
      if (left !== undefined) problems.push(`after ${batch.at(-1)?.one.name}: ${left}`);
    }
  } finally {
    await server.close();
  }
  return { groups: [...groups].map(([group, score]) => ({ group, ...score })), explained, problems };
}

/** Answers with the target that it saw. */
function recordingApp(): App {
  const app = new App();
  app.notFound(async (c) => {
    await c.bytes();
    return c.text(`[saw ${c.liveHead().target()}]`, 200);
  });
  return app;
}

function deliver(server: MemoryServer, bytes: Buffer): MemoryPeer {
  const peer = server.open();
  peer.send(bytes);
  return peer;
}

function targetsIn(answers: Buffer): string[] {
  return [...answers.toString("latin1").matchAll(/\[saw ([^\]]*)\]/g)].map(([, target]) => target ?? "");
}

/** The server may refuse what the grammar allows; it may accept nothing else, and nothing of what comes behind a refusal. */
function problemOf(targets: readonly string[], { targets: allowed, refusal }: Reading): string | undefined {
  const isPrefix = targets.every((target, index) => target === allowed[index]);
  if (isPrefix && targets.length <= allowed.length) return undefined;
  const why = refusal === undefined ? "" : `, then ${refusal}`;
  return `the handler saw ${targets.join(" and ")}, where the grammar has ${allowed.join(" and ") || "no request"}${why}`;
}

function count(
  groups: Map<string, { mutations: number; refused: number; accepted: number; stricter: number }>,
  group: string,
  { targets, reading }: { readonly targets: readonly string[]; readonly reading: Reading },
): void {
  const score = groups.get(group) ?? { mutations: 0, refused: 0, accepted: 0, stricter: 0 };
  groups.set(group, score);
  score.mutations += 1;
  if (targets.length === 0) score.refused += 1;
  else score.accepted += 1;
  if (targets.length < reading.targets.length) score.stricter += 1;
}
