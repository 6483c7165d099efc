/** Alternating rounds, which every suite that compares subjects has: each round runs every case with every subject once, and who failed in a case is left out from then on. */
import { NeighbourWatch } from "./neighbours.js";
import { progress } from "./progress.js";
import type { Missing } from "./rows.js";
import type { Context } from "./suite.js";

/** One measurement of a subject in a case. */
export interface Run<Case, Subject> {
  readonly runCase: Case;
  readonly subject: Subject;
  /** From 0. */
  readonly round: number;
}

/** What is run, and how. */
export interface Rounds<Case, Subject> {
  readonly cases: readonly Case[];
  readonly subjects: readonly Subject[];
  readonly rounds: number;
  /** No run starts after this time (`performance.now()`); what is left is noted as skipped. */
  readonly deadlineMs: number;
  /** Whether a subject has a case; all have all without it. */
  readonly has?: (subject: Subject, runCase: Case) => boolean;
  readonly measure: (run: Run<Case, Subject>) => Promise<void>;
  /** What an error of `measure` means. A note without a case leaves the subject out of all cases. */
  readonly explain: (error: unknown, run: Run<Case, Subject>) => Missing;
}

/** Above this share of the cores' time something else has slowed a run down. */
const FOREIGN_SHARE_MAX = 0.1;

interface Named {
  readonly name: string;
}

/** The runs that are not worth another try. */
export class Dead {
  readonly #keys = new Set<string>();

  /** Whether the subject has failed in this case or altogether. */
  has(caseName: string, subject: string): boolean {
    return this.#keys.has(subject) || this.#keys.has(`${caseName} ${subject}`);
  }

  /** Leaves out what a note is about. */
  add({ case: caseName, subject }: Missing): void {
    this.#keys.add(caseName === undefined ? subject : `${caseName} ${subject}`);
  }
}

/** Runs the rounds. `dead` holds what earlier rounds have found out, and learns from these. */
export async function runRounds<Case extends Named, Subject extends Named>(
  context: Context,
  plan: Rounds<Case, Subject>,
  dead = new Dead(),
): Promise<void> {
  const { suite, results } = context;
  for (let round = 0; round < plan.rounds; round++) {
    for (const runCase of plan.cases) {
      for (const subject of alternate(plan.subjects, round)) {
        const names = { suite, case: runCase.name, subject: subject.name };
        if (dead.has(runCase.name, subject.name) || plan.has?.(subject, runCase) === false) continue;
        if (performance.now() > plan.deadlineMs) {
          results.miss({ ...names, kind: "skipped", reason: "out of time" });
          continue;
        }
        const run = { runCase, subject, round };
        try {
          await watched(context, `${runCase.name} ${subject.name}`, () => plan.measure(run));
        } catch (error) {
          const missing = plan.explain(error, run);
          results.miss(missing);
          dead.add(missing);
          progress(`${runCase.name} ${subject.name}: ${missing.kind}: ${missing.reason}`);
        }
      }
    }
  }
}

/** Says so when the cores were not left to a run. */
async function watched({ placement, notes }: Context, name: string, measure: () => Promise<void>): Promise<void> {
  const watch = new NeighbourWatch(placement);
  await measure();
  const share = watch.share();
  if (share === undefined || share <= FOREIGN_SHARE_MAX) return;
  notes.add("something else used over a tenth of the cores in a round, so these figures are too bad", name);
}

/**
 * The order of one round: it begins one further than the round before and goes the other way round, so that no item always follows the same one. What a run leaves behind (a warm
 * core, a host that has taken the core away) weighs on the next, and must not weigh on the same subject each time.
 */
export function alternate<T>(items: readonly T[], round: number): T[] {
  const count = items.length;
  const direction = round % 2 === 0 ? 1 : -1;
  return items.map((_, index) => items[(((round + direction * index) % count) + count) % count] as T);
}
