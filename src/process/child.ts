/**
 * A child process, from its start to its end.
 *
 *     running → (asked to stop: SIGTERM) → (grace over: SIGKILL) → exited
 *
 * Over `node:child_process`: libuv forks, reaps and reads the pipes, on the thread that has spawned the child.
 */
import type { ChildProcess } from "node:child_process";
import { endWithThread } from "../runtime/thread-end.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { Alarm } from "../time/alarm.js";
import { threadTimers } from "../time/timers.js";
import { waitFor } from "../time/wait-for.js";
import { ChildInput } from "./child-input.js";
import type { Launch } from "./child-options.js";
import { ChildOutput } from "./child-output.js";

/**
 * How a child process has ended: by itself with a code, or by a signal.
 * @experimental
 */
export interface ExitStatus {
  /** Its exit code; null when a signal has ended it. */
  readonly code: number | null;
  /** The signal that has ended it; null when it has exited. */
  readonly signal: NodeJS.Signals | null;
  /** Whether it has exited with 0. */
  readonly ok: boolean;
  /** Whether it was stopped from here: by the signal or the time of its options, or by {@link Child.stop}. */
  readonly stoppedBy: "signal" | "timeout" | "stop" | undefined;
}

/**
 * A running child process; `spawn` makes them. It is a branch of `select` too, won when it has ended.
 * @experimental
 */
export class Child implements Selectable<ExitStatus>, AsyncDisposable {
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #launch: Launch;
  readonly #stdin: ChildInput | undefined;
  readonly #stdout: ChildOutput | undefined;
  readonly #stderr: ChildOutput | undefined;
  readonly #waiting = new Set<SelectWaiter<ExitStatus>>();
  readonly #timeout: Alarm;
  readonly #grace: Alarm;
  #forgetSignal: (() => void) | undefined;
  #forgetThread: (() => void) | undefined;
  #status: ExitStatus | undefined;
  #stoppedBy: ExitStatus["stoppedBy"];
  /** SIGTERM has been sent, and SIGKILL not yet. */
  #isStopping = false;
  /** Nothing is left that a signal could reach. The number may then belong to others, and is never used again. */
  #isGone = false;

  /** @internal */
  constructor(child: ChildProcess, launch: Launch) {
    this.pid = child.pid ?? 0;
    this.#process = child;
    this.#launch = launch;
    const { stdin, stdout, stderr } = child;
    this.#stdin = stdin === null ? undefined : new ChildInput(stdin);
    this.#stdout = stdout === null ? undefined : new ChildOutput(stdout, "stdout");
    this.#stderr = stderr === null ? undefined : new ChildOutput(stderr, "stderr");
    const timers = threadTimers();
    // The child itself keeps the thread alive, and so does whoever reads its pipes.
    this.#timeout = new Alarm(timers, () => this.#stop("timeout"), false);
    this.#grace = new Alarm(timers, () => this.#cut(), false);
    // What cannot be signalled, because it has another user by now: `kill` then returns false.
    child.on("error", () => undefined);
    child.once("exit", (code, signal) => this.#exited(code, signal));
    if (launch.timeoutMs > 0 && Number.isFinite(launch.timeoutMs)) this.#timeout.set(timers.now() + launch.timeoutMs);
    if (launch.signal !== undefined) {
      if (launch.signal.aborted) this.#stop("signal");
      else this.#forgetSignal = onAbort(launch.signal, () => this.#stop("signal"));
    }
    // Nobody reaps or reads a child whose thread is gone.
    if (!launch.outlives) this.#forgetThread = endWithThread({ end: () => this.stop(), endNow: () => this.#endNow() });
  }

  /** Throws a TypeError when it is not piped. */
  get stdin(): ChildInput {
    return piped(this.#stdin, "stdin");
  }

  /** Throws a TypeError when it is not piped. */
  get stdout(): ChildOutput {
    return piped(this.#stdout, "stdout");
  }

  /** Throws a TypeError when it is not piped. */
  get stderr(): ChildOutput {
    return piped(this.#stderr, "stderr");
  }

  /** How it has ended; undefined while it runs. */
  get status(): ExitStatus | undefined {
    return this.#status;
  }

  /**
   * Waits for its end, and resolves with how it was, whatever that is. Giving the wait up does nothing to the child.
   *
   * A child that has more to say than a pipe holds does not end before it is read.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`.
   */
  wait(options: WaitOptions = {}): Promise<ExitStatus> {
    return waitFor(this, { ...options, operation: "wait for the child" });
  }

  /** Sends it a signal, SIGTERM unless told otherwise; with `group` to all of its group, also when the child itself has ended. Returns false when there is nobody left, or nobody that may be signalled. */
  kill(signal: NodeJS.Signals = "SIGTERM"): boolean {
    if (this.#isGone) return false;
    return this.#launch.group ? this.#signalGroup(signal) : this.#process.kill(signal);
  }

  /**
   * Ends it: SIGTERM, and SIGKILL when it has not ended after the grace time of its options; pipes that others still hold are then closed. Resolves with how it has ended. What is left of its group by then
   * gets its SIGKILL at the end of the grace, too, or with the end of the thread.
   */
  stop(): Promise<ExitStatus> {
    this.#stop("stop");
    return this.wait();
  }

  /** The same, and closes its pipes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#closePipes();
  }

  /** A branch of `select`, won when it has ended. */
  [selectable](waiter: SelectWaiter<ExitStatus>): (() => void) | undefined {
    if (this.#status !== undefined) {
      if (waiter.claim()) waiter.resolve(this.#status);
      return undefined;
    }
    this.#waiting.add(waiter);
    return () => void this.#waiting.delete(waiter);
  }

  #stop(by: NonNullable<ExitStatus["stoppedBy"]>): void {
    if (this.#stoppedBy !== undefined) return;
    if (this.#status === undefined) this.#stoppedBy = by;
    this.#timeout.clear();
    this.#isStopping = true;
    this.kill("SIGTERM");
    // Also when it has ended: those that it has left behind may hold its pipes.
    this.#grace.set(threadTimers().now() + this.#launch.graceMs);
  }

  /** The grace is over. */
  #cut(): void {
    this.kill("SIGKILL");
    this.#isStopping = false;
    this.#closePipes();
    if (this.#status !== undefined) this.#forgetThread?.();
  }

  /** The thread ends, and with it the grace: what is left of a group that was stopped has had its SIGTERM. */
  #endNow(): void {
    this.kill(this.#status === undefined ? "SIGTERM" : "SIGKILL");
  }

  /** Signal 0 only asks whether the group is there. */
  #signalGroup(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.pid, signal);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ESRCH") this.#isGone = true;
      else if (code !== "EPERM") throw error;
      return false;
    }
  }

  #closePipes(): void {
    this.#stdout?.close();
    this.#stderr?.close();
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    this.#status = { code, signal, ok: code === 0, stoppedBy: this.#stoppedBy };
    if (this.#launch.group) this.#signalGroup(0);
    else this.#isGone = true;
    if (this.#isGone || !this.#isStopping) this.#forgetThread?.();
    const { stdout, stderr } = this.#process;
    for (const pipe of [stdout, stderr]) pipe?.once("close", () => this.#letGo());
    this.#letGo();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waiting) if (waiter.claim()) waiter.resolve(this.#status);
  }

  /** Its limits hold until the last pipe is closed: others may have it open still. The grace of a group holds for all of it. */
  #letGo(): void {
    const { stdout, stderr } = this.#process;
    if (stdout?.closed === false || stderr?.closed === false) return;
    this.#timeout.clear();
    if (this.#isGone || !this.#isStopping) this.#grace.clear();
    this.#forgetSignal?.();
  }
}

function piped<Stream>(stream: Stream | undefined, name: string): Stream {
  if (stream === undefined) throw new TypeError(`Cannot use the child's ${name}: it is not piped`);
  return stream;
}
