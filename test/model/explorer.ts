/**
 * Runs a program through its executions, depth first.
 *
 * A node is a state, reached by the steps before it; the search remembers which threads it has run there and which it still has to (`todo`). JavaScript cannot suspend a
 * function, so a thread is stopped by throwing {@link STOP} out of it and brought back by calling it again with the results that it had. Two things make that cheap: going back does not
 * run anything, the memory undoes its changes (`journal.ts`); and a thread that is scheduled twice in a row is not stopped in between.
 *
 * The reduction is source-DPOR with sleep sets: of all orders that differ only in steps that do not depend on each other one is explored. `trace.ts` finds what else has
 * to be run; a thread that *sleeps* at a node has been explored from there or from above, and stays out until a step depends on what it would do.
 */
import { assert } from "../../src/assert.js";
import type { Words } from "../../src/shared/words.js";
import { DEAD, DONE, LIVE, Machine } from "./machine.js";
import { ModelWords, type StepTaker } from "./model-words.js";
import {
  ALL,
  COMPARE_EXCHANGE,
  DIE,
  END,
  isPayload,
  LOAD,
  leavesNoTrace,
  NOTIFY,
  nameOfKind,
  READ,
  RING,
  START,
  type Step,
  WAIT,
  WAKE,
} from "./operation.js";
import { PlainWords } from "./plain-words.js";
import type { ModelProgram, ModelThread } from "./program.js";
import { type Death, letterOf } from "./schedule.js";
import { ThreadLog } from "./thread-log.js";
import { areDependent, type Causes, type Footprint, Trace } from "./trace.js";

/** What stops a thread. Not an Error, so that nothing that handles errors by their kind takes it for one. */
const STOP: unique symbol = Symbol("the model checker stops this thread");

const STEPS_MAX = 300;
const THREADS_MAX = 16;

export interface ExplorerOptions {
  /** Of different threads, two at most. */
  readonly deaths?: readonly Death[];
  /** `false` explores every order, to check the reduction with. */
  readonly isReduced?: boolean;
  /** The threads to run, in order, instead of a search; then whoever is ready. */
  readonly schedule?: readonly number[] | undefined;
  /** Asked after each execution: `false` ends the search. */
  readonly mayGoOn?: () => boolean;
  /** Called at the end of each execution that is not redundant. */
  readonly onExecution?: (explorer: Explorer) => void;
}

/** How an execution has ended. */
type Ending = "complete" | "redundant" | "cut";

/** What a search has found. */
export interface Exploration {
  /** Executions that ended, each different from all others. */
  executions: number;
  /** Executions that were given up because all that could follow had been explored. */
  redundant: number;
  /** Executions that were cut because a thread made too many steps. */
  cut: number;
  steps: number;
  /** `false` when `mayGoOn` ended it. */
  isFinished: boolean;
  failure: string | undefined;
}

const UNDECIDED = -1;
const NOBODY = -2;

export class Explorer implements StepTaker {
  readonly program: ModelProgram;
  readonly result: Exploration = {
    executions: 0,
    redundant: 0,
    cut: 0,
    steps: 0,
    isFinished: false,
    failure: undefined,
  };
  /** For each thread, the positions at which its death would make a difference: 1. */
  readonly deathPositions: Uint8Array[];
  readonly #options: ExplorerOptions;
  readonly #isReduced: boolean;
  readonly #stepsMax: number;
  readonly #threads: readonly ModelThread[];
  readonly #machine: Machine;
  readonly #trace: Trace;
  readonly #logs: ThreadLog[];
  readonly #words: ModelWords;
  readonly #deaths: readonly Death[];
  /** The reapers take turns: to begin is a change of this object, when there are two. */
  readonly #turn: number;
  readonly #causes: Causes = { always: 0, thisTime: 0 };
  readonly #footprint: Footprint = { looksAt: -1, changes: -1, changesToo: -1 };
  readonly #otherFootprint: Footprint = { looksAt: -1, changes: -1, changesToo: -1 };

  /** For each depth: threads still to run and threads that sleep, as masks; marks to go back to; how long the log of the step's thread was. */
  readonly #todo: number[] = [0];
  readonly #sleeping: number[] = [0];
  readonly #machineMarks: number[] = [];
  readonly #traceMarks: number[] = [];
  readonly #logLengths: number[] = [];
  #depth = 0;

  #running = 0;
  #next = UNDECIDED;
  #ending: Ending = "complete";
  /** The search wants to run a thread that cannot: a bug of the checker. */
  #isAstray = false;
  /** Why the schedule to replay is none of this program. */
  #misfit: string | undefined;
  /** Whose next step the memory refuses, or -1. */
  #misstep = -1;
  #isStopping = false;
  #wasSwallowed = false;

  constructor(program: ModelProgram, options: ExplorerOptions = {}) {
    const { length, nameOf } = program;
    this.program = program;
    this.#options = options;
    this.#isReduced = options.isReduced ?? true;
    this.#stepsMax = program.stepsMax ?? STEPS_MAX;
    this.#deaths = options.deaths ?? [];
    this.#threads = withReapers(program, this.#deaths);
    this.#turn = this.#threads.length > program.threads.length + 1 ? 2 * length : -1;
    const threads = this.#threads.length;
    if (threads > THREADS_MAX) throw new RangeError(`Cannot check ${program.name}: ${threads} threads of at most 16`);
    this.#machine = new Machine({
      length,
      threads,
      reaped: threads > program.threads.length ? this.#deaths.map(({ thread }) => thread) : [],
      hasTimeouts: program.hasTimeouts ?? false,
      nameOf: (index) => (nameOf === undefined ? `${index}` : `${index} (${nameOf(index)})`),
      nameOfThread: (thread) => nameOfThread(program, thread),
    });
    this.#trace = new Trace(2 * length + 1, threads, (depth, initials, preferred) => {
      // A full enumeration owes nothing to what it is compared with.
      if (!this.#isReduced) return;
      if ((initials & (this.#todo[depth]! | this.#sleeping[depth]!)) !== 0) return;
      this.#todo[depth]! |= (initials & (1 << preferred)) !== 0 ? 1 << preferred : initials & -initials;
    });
    this.#logs = this.#threads.map(() => new ThreadLog());
    this.deathPositions = this.#threads.map(() => new Uint8Array(this.#stepsMax + 2));
    this.#words = new ModelWords(length, this, this.#logs[0]!);
  }

  /**
   * Explores, up to the first failure.
   *
   * @throws RangeError when the program has no execution with the schedule that was given
   */
  run(): Exploration {
    this.#prepare();
    const { result } = this;
    const mayGoOn = this.#options.mayGoOn ?? (() => true);
    while (result.failure === undefined) {
      const next = this.#next === UNDECIDED ? this.#choose() : this.#next;
      this.#next = UNDECIDED;
      if (next !== NOBODY) {
        this.#advance(next);
        continue;
      }
      assert(!this.#isAstray, "the checker runs threads that can run");
      if (this.#misfit !== undefined) throw new RangeError(this.#misfit);
      this.#endExecution();
      if (result.failure !== undefined || this.#options.schedule !== undefined || !mayGoOn()) break;
      if (!this.#goBack()) {
        result.isFinished = true;
        break;
      }
    }
    return result;
  }

  /** The threads of the execution at hand, step by step; the step that was not possible as well. */
  get schedule(): number[] {
    return this.#misstep < 0 ? this.#owners : [...this.#owners, this.#misstep];
  }

  /** The steps of the execution at hand, payload accesses behind the step that they follow. */
  get steps(): { readonly thread: number; readonly step: Step }[] {
    const taken = this.#logs.map(() => 0);
    return this.#owners.flatMap((thread) => {
      const log = this.#logs[thread]!;
      const steps = [];
      do {
        steps.push({ thread, step: log.stepAt(taken[thread]!++) });
      } while (taken[thread]! < log.length && isPayload(log.stepAt(taken[thread]!).kind));
      return steps;
    });
  }

  /** The threads that have died in the execution at hand. */
  get killed(): readonly number[] {
    return this.#threads.flatMap((_, thread) => (this.#machine.stateOf(thread) === DEAD ? [thread] : []));
  }

  /** The words as they are now; not a copy. */
  get memory(): Int32Array {
    return this.#machine.memory;
  }

  get #owners(): number[] {
    return Array.from({ length: this.#depth }, (_, depth) => this.#trace.ownerAt(depth));
  }

  #prepare(): void {
    const { program } = this;
    program.setup?.(new PlainWords(this.memory));
    for (const [thread, log] of this.#logs.entries()) {
      log.expect(START, 0, 0, 0);
      if (thread < program.threads.length) this.#machine.setState(thread, LIVE);
    }
  }

  /** Which thread makes the next step, or {@link NOBODY} when the execution has ended. */
  #choose(): number {
    const depth = this.#depth;
    if (this.#options.schedule !== undefined && depth < this.#options.schedule.length) return this.#chooseScheduled();
    if (this.#todo[depth] === 0) {
      const ready = this.#readyThreads();
      if (ready === 0) return this.#end(this.#isSomebodyCut() ? "cut" : "complete");
      const awake = ready & ~this.#sleeping[depth]!;
      if (awake === 0) return this.#end("redundant");
      // Going on with the same thread costs nothing; the others come when something depends on them.
      const first = (awake & (1 << this.#running)) !== 0 ? 1 << this.#running : awake & -awake;
      this.#todo[depth] = this.#isReduced ? first : awake;
    }
    const open = this.#todo[depth]! & ~this.#sleeping[depth]!;
    const next = (open & (1 << this.#running)) !== 0 ? this.#running : 31 - Math.clz32(open & -open);
    // Asserted by run(): this may be inside of a thread, whose own error it would seem to be.
    this.#isAstray ||= !this.#isReady(next);
    return this.#isAstray ? NOBODY : next;
  }

  #chooseScheduled(): number {
    const next = this.#options.schedule![this.#depth]!;
    if (next >= this.#threads.length || (this.#readyThreads() & (1 << next)) === 0) {
      const name =
        next < this.#threads.length
          ? nameOfThread(this.program, next)
          : `thread ${letterOf(next)}, which there is not,`;
      // Not thrown here: this may run inside of a thread, whose own error it would seem to be.
      this.#misfit = `Cannot replay: at step ${this.#depth + 1} of the schedule ${name} has no step to make`;
      return NOBODY;
    }
    this.#todo[this.#depth] = 1 << next;
    return next;
  }

  #end(ending: Ending): typeof NOBODY {
    this.#ending = ending;
    return NOBODY;
  }

  #readyThreads(): number {
    let ready = 0;
    for (let thread = 0; thread < this.#threads.length; thread++) if (this.#isReady(thread)) ready |= 1 << thread;
    return ready;
  }

  #isReady(thread: number): boolean {
    if (this.#machine.stateOf(thread) !== LIVE) return false;
    const log = this.#logs[thread]!;
    // A thread that has made too many steps stays where it is and the others go on: what they do may have been what it looked for.
    if (log.length >= this.#stepsMax) return false;
    if (log.kind === WAKE && !this.#machine.isNotified(thread) && !this.#mayTimeOut(log)) return false;
    return log.kind !== START || !this.#isWaitingForItsTurn(thread);
  }

  /** Whether the thread is a reaper and the other one has begun and not ended. */
  #isWaitingForItsTurn(thread: number): boolean {
    if (this.#turn < 0 || this.#machine.reapedBy(thread) < 0) return false;
    return this.#logs.some((log, other) => {
      const isReaping = this.#machine.reapedBy(other) >= 0 && this.#machine.stateOf(other) === LIVE;
      return other !== thread && isReaping && log.length > 0;
    });
  }

  #isSomebodyCut(): boolean {
    return this.#logs.some((log, thread) => log.length >= this.#stepsMax && this.#machine.stateOf(thread) === LIVE);
  }

  #mayTimeOut(log: ThreadLog): boolean {
    return this.#machine.hasTimeouts && log.second === 1;
  }

  /** Makes the thread's next step, and runs it up to the one after. */
  #advance(thread: number): void {
    const log = this.#logs[thread]!;
    const isDying = log.kind === DIE;
    this.#isStopping = false;
    this.#wasSwallowed = false;
    let thrown: unknown;
    try {
      this.#perform(thread);
      if (isDying) return;
      this.#words.rewind(log);
      this.#threads[thread]!(this.#words);
    } catch (error) {
      thrown = error;
    }
    this.#afterRun(thread, thrown);
  }

  #afterRun(thread: number, thrown: unknown): void {
    const name = nameOfThread(this.program, thread);
    if ((thrown === STOP && !this.#wasSwallowed) || this.result.failure !== undefined) return;
    if (this.#isStopping) {
      this.result.failure = `${name} caught what the checker stops it with: nothing may catch or outlive it (a finally that touches memory, a catch that does not rethrow)`;
    } else if (thrown !== undefined) {
      this.result.failure = `${name} threw ${describeError(thrown)}`;
    } else if (!this.#words.isCaughtUp) {
      this.result.failure = this.#divergence("ended");
    } else if (this.#isDeathPoint(thread, END)) {
      this.#logs[thread]!.expect(DIE, 0, 0, 0);
    } else {
      this.#machine.setState(thread, DONE);
    }
  }

  step(kind: number, index: number, first: number, second: number): number {
    if (this.#isStopping) {
      this.#wasSwallowed = true;
      throw STOP;
    }
    const thread = this.#running;
    const log = this.#logs[thread]!;
    if (index >>> 0 !== index || index >= this.program.length) {
      const name = nameOfThread(this.program, thread);
      this.#fail(`${name} touches word ${index}, but the program has ${this.program.length} words`);
    }
    const isDying = this.#isDeathPoint(thread, kind);
    if (isDying) log.expect(DIE, index, kind, 0);
    else log.expect(kind, index, first, second);
    if (isPayload(kind) && !isDying && log.length < this.#stepsMax) {
      const problem = this.#machine.problemWithPayload(thread, kind, index);
      if (problem !== undefined) this.#fail(problem);
      log.complete(this.#machine.payload(thread, kind, index, first));
      return log.resultAt(log.length - 1);
    }
    const next = this.#choose();
    if (next === thread && !isDying) {
      this.#perform(thread);
      return log.resultAt(log.length - 1);
    }
    this.#next = next;
    this.#isStopping = true;
    throw STOP;
  }

  diverged(kind: number, index: number): never {
    this.#fail(this.#divergence(`did something else (${nameOfKind(kind)} of word ${index})`));
  }

  #divergence(deed: string): string {
    const name = nameOfThread(this.program, this.#running);
    const step = this.#words.position + 1;
    return `${name} is not a function of what it reads: run again with the same results it ${deed} at its step ${step}`;
  }

  /** Notes the failure, so that no thread can hide it by catching what is thrown, and stops the thread. */
  #fail(message: string): never {
    this.result.failure ??= message;
    this.#isStopping = true;
    throw STOP;
  }

  /** Whether the thread is to die before this step of its; notes the positions where that makes a difference. */
  #isDeathPoint(thread: number, kind: number): boolean {
    if (leavesNoTrace(kind)) return false;
    const { length } = this.#logs[thread]!;
    this.deathPositions[thread]![length] = 1;
    return this.#deaths.some((death) => death.thread === thread && death.position === length);
  }

  #perform(thread: number): void {
    const depth = this.#depth;
    const log = this.#logs[thread]!;
    this.#machineMarks[depth] = this.#machine.journal.mark();
    this.#traceMarks[depth] = this.#trace.mark();
    this.#logLengths[depth] = log.length;
    this.#running = thread;
    const problem = this.#machine.problemWith(log);
    if (problem !== undefined) {
      this.#misstep = thread;
      this.#fail(problem);
    }
    this.#setFootprint(thread, this.#footprint);
    this.#sleeping[depth + 1] = this.#isReduced ? this.#stillSleeping(depth, thread) : 0;
    this.#todo[depth + 1] = 0;
    this.#trace.append(depth, thread, this.#footprint, this.#causesOf(thread, log.kind));
    this.#depth = depth + 1;
    this.result.steps++;
    log.complete(this.#machine.step(depth + 1, thread, log));
  }

  /** Those that slept and whose next step does not depend on the one that is made now. */
  #stillSleeping(depth: number, thread: number): number {
    let still = 0;
    for (let rest = this.#sleeping[depth]! & ~(1 << thread); rest !== 0; rest &= rest - 1) {
      const other = 31 - Math.clz32(rest & -rest);
      this.#setFootprint(other, this.#otherFootprint);
      if (!areDependent(this.#footprint, this.#otherFootprint)) still |= 1 << other;
    }
    return still;
  }

  /** What the thread's next step touches, in the present state: an atomic write is one also when it leaves the value, because it publishes. */
  #setFootprint(thread: number, footprint: Footprint): void {
    const log = this.#logs[thread]!;
    const { kind, index, first } = log;
    const queue = this.program.length + index;
    footprint.looksAt = -1;
    footprint.changes = -1;
    footprint.changesToo = -1;
    switch (kind) {
      case START:
        if (this.#machine.reapedBy(thread) >= 0) footprint.changes = this.#turn;
        return;
      case LOAD:
      case READ:
        footprint.looksAt = index;
        return;
      case COMPARE_EXCHANGE:
        if (this.memory[index] === first) footprint.changes = index;
        else footprint.looksAt = index;
        return;
      case WAIT:
        footprint.looksAt = index;
        // Also when it will not sleep. Whether two steps depend on each other may change only by steps on which both depend, and a store to the word is none for a notify.
        footprint.changes = queue;
        return;
      case NOTIFY:
        if ((first === ALL || first > 0) && this.#machine.firstSleeper(index) >= 0) footprint.changes = queue;
        else footprint.looksAt = queue;
        return;
      case RING:
        footprint.changes = index;
        if (this.#machine.firstSleeper(index) >= 0) footprint.changesToo = queue;
        else footprint.looksAt = queue;
        return;
      case WAKE:
        if (this.#mayTimeOut(log)) footprint.changes = queue;
        return;
      case DIE: {
        const slept = this.#machine.sleepsOn(thread);
        if (slept >= 0) footprint.changes = this.program.length + slept;
        return;
      }
      default:
        footprint.changes = index;
    }
  }

  /** Who woke the thread, whose death calls the reaper, the last step of the reaper before it. */
  #causesOf(thread: number, kind: number): Causes {
    const causes = this.#causes;
    causes.always = 0;
    causes.thisTime = 0;
    if (kind === WAKE && this.#machine.isNotified(thread)) causes.thisTime = this.#machine.wokenBy(thread);
    const reaped = this.#machine.reapedBy(thread);
    if (kind !== START || reaped < 0) return causes;
    causes.always = this.#trace.lastOf(reaped);
    for (let other = this.program.threads.length; other < this.#threads.length; other++) {
      if (this.#machine.stateOf(other) === DONE) causes.thisTime = this.#trace.lastOf(other);
    }
    return causes;
  }

  #endExecution(): void {
    const { result, program } = this;
    if (this.#ending === "redundant") {
      result.redundant++;
      return;
    }
    if (this.#ending === "cut") {
      result.cut++;
      return;
    }
    result.executions++;
    const asleep = this.#threads.flatMap((_, thread) => (this.#machine.stateOf(thread) === LIVE ? [thread] : []));
    if (asleep.length > 0) {
      const names = asleep.map((thread) => nameOfThread(program, thread)).join(" and ");
      result.failure = `lost wake-up: ${names} ${asleep.length === 1 ? "waits" : "wait"} for ever and nobody is left to notify`;
      return;
    }
    try {
      program.finish(new PlainWords(this.memory.slice()), this.killed);
    } catch (error) {
      result.failure = `at the end: ${describeError(error)}`;
      return;
    }
    this.#options.onExecution?.(this);
  }

  /** Returns to the deepest state where a thread is still to be run; `false` if there is none. */
  #goBack(): boolean {
    while (this.#depth > 0) {
      const depth = --this.#depth;
      const thread = this.#trace.ownerAt(depth);
      this.#logs[thread]!.length = this.#logLengths[depth]!;
      this.#machine.journal.rewind(this.#machineMarks[depth]!);
      this.#trace.rewind(this.#traceMarks[depth]!);
      this.#sleeping[depth]! |= 1 << thread;
      if ((this.#todo[depth]! & ~this.#sleeping[depth]!) !== 0) return true;
    }
    return false;
  }
}

/** How a thread is called: a letter, which is also how a schedule names it. */
export function nameOfThread(program: ModelProgram, thread: number): string {
  if (thread < program.threads.length) return `thread ${letterOf(thread)}`;
  return thread === program.threads.length ? "the reaper" : "the other reaper";
}

function withReapers({ threads, reaper }: ModelProgram, deaths: readonly Death[]): readonly ModelThread[] {
  if (reaper === undefined) return threads;
  return [
    ...threads,
    ...deaths.map(
      ({ thread }) =>
        (words: Words) =>
          reaper(words, thread),
    ),
  ];
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split("\n").find((line) => /^\s+at .*\/dist\//.test(line) && !line.includes("/assert.js"));
  const [message] = error.message.split("\n");
  return `${error.name}: ${message}${place === undefined ? "" : ` (${place.trim().replace(/file:.*\/dist\//, "")})`}`;
}
