/** Runs the WebSocket list against an echo server, many connections at a time. */
import { SECTIONS, sectionOf } from "./case-list.js";
import { type EchoServer, WebSocketSession } from "./session.js";
import type { Verdict, WebSocketCase } from "./web-socket-case.js";

/** What became of a case. */
export interface CaseResult {
  readonly id: string;
  readonly what: string;
  readonly section: number;
  readonly verdict: Verdict | "failed";
  /** What was wrong with one that failed. */
  readonly problem: string;
}

/** The count of one section. */
export interface SectionScore {
  readonly section: number;
  readonly title: string;
  readonly cases: number;
  readonly counts: Readonly<Record<CaseResult["verdict"], number>>;
}

const CONCURRENCY = 24;
/** Large messages take megabytes each, on both sides. */
const CONCURRENCY_LARGE = 3;

/** Runs the cases; results are in their order. */
export async function runList(server: EchoServer, cases: readonly WebSocketCase[]): Promise<CaseResult[]> {
  const small = cases.filter(({ isLarge }) => isLarge !== true);
  const large = cases.filter(({ isLarge }) => isLarge === true);
  const results = [...(await runAll(server, small, CONCURRENCY)), ...(await runAll(server, large, CONCURRENCY_LARGE))];
  const places = new Map(cases.map(({ id }, index) => [id, index]));
  return results.sort((a, b) => places.get(a.id)! - places.get(b.id)!);
}

/** Counts results by section. */
export function scoresOf(results: readonly CaseResult[]): SectionScore[] {
  return [...SECTIONS].flatMap(([section, title]) => {
    const own = results.filter((result) => result.section === section);
    const counts = { passed: 0, "non-strict": 0, informational: 0, "not offered": 0, failed: 0 };
    for (const { verdict } of own) counts[verdict] += 1;
    return own.length === 0 ? [] : [{ section, title, cases: own.length, counts }];
  });
}

async function runAll(server: EchoServer, cases: readonly WebSocketCase[], atOnce: number): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < cases.length) results.push(await runOne(server, cases[next++]!));
  };
  await Promise.all(Array.from({ length: atOnce }, runner));
  return results;
}

async function runOne(server: EchoServer, one: WebSocketCase): Promise<CaseResult> {
  const base = { id: one.id, what: one.what, section: sectionOf(one) };
  let session: WebSocketSession | undefined;
  try {
    session = await WebSocketSession.open(server, one.extensions);
    return { ...base, verdict: await one.run(session), problem: "" };
  } catch (error) {
    return { ...base, verdict: "failed", problem: (error as Error).message };
  } finally {
    session?.destroy();
  }
}
