/**
 * Waiting for the first of several things: what a channel receives or sends, a lock, an event, a timer, a promise, a signal.
 *
 * As in Go, exactly one branch happens, and the others have no effect: what they would have taken is still there. Among several that are ready one is chosen at random, so that none starves.
 */
import { onAbort } from "../scheduler/abort-listeners.js";
import { joinAsBranch } from "./promise-branch.js";
import { type Selectable, type SelectWaiter, selectable } from "./selectable.js";
import type { NotStarted } from "./started.js";
import { completedWith } from "./turn-budget.js";
import { invalidArgument, type WaitOptions } from "./wait-errors.js";
import { armWait, checkedForm, waitRefusal } from "./wait-limits.js";

/**
 * What can be a branch: a channel, lock, event or timer; a promise, which is waited for and not begun; an AbortSignal, which gives its reason. `undefined` is a branch that never happens.
 * @experimental
 */
export type SelectBranch = Selectable<unknown> | (PromiseLike<unknown> & NotStarted) | AbortSignal | undefined;

/**
 * The branches of a `select`, by name.
 * @experimental
 */
export type SelectBranches = Readonly<Record<string, SelectBranch>>;

/**
 * What a branch gives.
 * @experimental
 */
export type BranchValue<Branch> =
  Branch extends Selectable<infer Value>
    ? Value
    : Branch extends PromiseLike<infer Value>
      ? Awaited<Value>
      : Branch extends AbortSignal
        ? unknown
        : never;

/**
 * Which branch has happened, and what it gave. Narrowed by `which`.
 * @experimental
 */
export type Selected<Branches extends SelectBranches> = {
  [Which in keyof Branches & string]: { readonly which: Which; readonly value: BranchValue<Branches[Which]> };
}[keyof Branches & string];

/**
 * How to choose among branches that are ready.
 * @experimental
 */
export interface TrySelectOptions {
  /** Gives a number from 0 to below 1. For tests that repeat a run. Default `Math.random`. */
  readonly random?: () => number;
}

/**
 * How to wait for a branch.
 * @experimental
 */
export interface SelectOptions extends WaitOptions, TrySelectOptions {}

/**
 * Waits until one of the branches happens, and makes only that one happen.
 * @returns The name of the branch and its value.
 * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_INVALID_OPTION` when there is no branch; else the error of the branch that has happened, that of a closed channel for instance.
 * @example
 * ```ts run
 * import { channel, select } from "ringloom/sync";
 * const jobs = channel<string>(8);
 * const quit = new AbortController();
 * await jobs.send("first");
 * const got = await select({ job: jobs, quit: quit.signal }, { timeoutMs: 1_000 });
 * if (got.which === "job") console.log(got.value.toUpperCase());
 * ```
 * @experimental
 */
export function select<Branches extends SelectBranches>(
  branches: Branches,
  options: SelectOptions = {},
): Promise<Selected<Branches>> {
  const selection = new Selection();
  try {
    const refused = waitRefusal("select", options, SELECT_OPTION_NAMES);
    if (refused !== undefined) throw refused;
    selection.begin(branches, options);
  } catch (error) {
    selection.abandon();
    return Promise.reject(error);
  }
  // The cast is safe because the result is made of the branches' names and values.
  return selection.result(options) as Promise<Selected<Branches>>;
}

/**
 * The branch that can happen now, as `select` with a default case: nothing waits. A promise counts from the turn after it has settled, if a `select` has waited for it before.
 * @returns undefined if none can.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when there is no branch; else the error of the branch that has happened.
 * @experimental
 */
export function trySelect<Branches extends SelectBranches>(
  branches: Branches,
  options: TrySelectOptions = {},
): Selected<Branches> | undefined {
  checkedForm("select", options, ["random"]);
  const selection = new Selection();
  try {
    selection.begin(branches, options);
  } finally {
    selection.abandon();
  }
  // The cast is safe for the same reason.
  return selection.take() as Selected<Branches> | undefined;
}

const SELECT_OPTION_NAMES: readonly string[] = ["signal", "timeoutMs", "random"];

/** What a branch has given, by name. */
interface Winner {
  readonly which: string;
  readonly value: unknown;
}

/** One `select`. */
class Selection {
  #isClaimed = false;
  #winner: Winner | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #forgetters: (() => void)[] = [];
  /** Told when it is settled. */
  #whenSettled: (() => void) | undefined;

  /** Looks at each branch once, in random order, and waits at those that are not ready, unless one is. */
  begin(branches: SelectBranches, { random = Math.random }: TrySelectOptions): void {
    if (typeof random !== "function") throw invalidArgument("select", "random is no function");
    const names = shuffled(namesOf(branches), random);
    for (const name of names) {
      const forget = beginBranch(branches[name], new Branch(this, name), name);
      if (this.#isClaimed) {
        // A branch of before has won while this one began.
        forget?.();
        return;
      }
      if (forget !== undefined) this.#forgetters.push(forget);
    }
  }

  get isOver(): boolean {
    return this.#isClaimed;
  }

  claim(): boolean {
    if (this.#isClaimed) return false;
    this.#isClaimed = true;
    return true;
  }

  resolve(winner: Winner): void {
    this.#winner = winner;
    this.#end();
  }

  reject(error: unknown): void {
    this.#failure = { error };
    this.#end();
  }

  /** A branch could not begin: nothing happens any more. */
  abandon(): void {
    this.#isClaimed = true;
    this.#forget();
  }

  /** What has happened. */
  take(): Winner | undefined {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#winner;
  }

  /** What will have happened. */
  result(options: WaitOptions): Promise<Winner> {
    if (this.#winner !== undefined) return completedWith(this.#winner);
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      const disarm = armWait(options, "select", (error) => {
        if (this.claim()) this.reject(error);
      });
      this.#whenSettled = () => {
        disarm?.();
        if (this.#winner === undefined) reject(this.#failure?.error);
        else resolve(this.#winner);
      };
    });
  }

  #end(): void {
    this.#forget();
    this.#whenSettled?.();
  }

  #forget(): void {
    for (const forget of this.#forgetters) forget();
    this.#forgetters.length = 0;
  }
}

/** A branch, as what it waits for sees it. */
class Branch implements SelectWaiter<unknown> {
  readonly selection: Selection;
  readonly #name: string;

  constructor(selection: Selection, name: string) {
    this.selection = selection;
    this.#name = name;
  }

  get isOver(): boolean {
    return this.selection.isOver;
  }

  claim(): boolean {
    return this.selection.claim();
  }

  resolve(value: unknown): void {
    this.selection.resolve({ which: this.#name, value });
  }

  reject(error: unknown): void {
    this.selection.reject(error);
  }
}

function namesOf(branches: SelectBranches): string[] {
  const names: string[] = [];
  for (const name in branches) if (branches[name] !== undefined) names.push(name);
  if (names.length === 0) throw invalidArgument("select", "it has no branch, and would wait for ever");
  return names;
}

/** Fisher and Yates: each order is as likely as any other. */
function shuffled(names: string[], random: () => number): string[] {
  for (let last = names.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const name = names[last] ?? "";
    names[last] = names[other] ?? "";
    names[other] = name;
  }
  return names;
}

function beginBranch(source: SelectBranch, branch: Branch, name: string): (() => void) | undefined {
  if (source instanceof AbortSignal) return abortAsBranch(source, branch);
  if (typeof source === "object" && source !== null) {
    if (selectable in source) return source[selectable](branch);
    if (typeof source.then === "function") return joinAsBranch(source, branch);
  }
  throw invalidArgument("select", `its branch ${name} is nothing that can be waited for`);
}

function abortAsBranch(signal: AbortSignal, branch: Branch): (() => void) | undefined {
  if (!signal.aborted) {
    return onAbort(signal, () => {
      if (branch.claim()) branch.resolve(signal.reason);
    });
  }
  if (branch.claim()) branch.resolve(signal.reason);
  return undefined;
}
