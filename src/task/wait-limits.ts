/** The limits of a wait, for all that waits in channels, locks, sockets, files and children alike: what they may be, and how they end it. */
import type { RingloomError } from "../errors.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import { waitBegun, waitOver } from "../scheduler/open-waits.js";
import { TIMEOUT_MS_MAX } from "../scheduler/task-checks.js";
import {
  abortedWait,
  invalidArgument,
  operationOf,
  timedOutWait,
  type Waited,
  type WaitOptions,
} from "./wait-errors.js";

/** Why a wait with these options cannot begin: they are wrong, or the signal is aborted already. `names` are those that there are. */
export function waitRefusal(
  waited: Waited,
  options: WaitOptions,
  names: readonly string[] = WAIT_OPTION_NAMES,
): RingloomError | undefined {
  const wrong = wrongForm(options, names) ?? wrongTimeout(options.timeoutMs) ?? wrongSignal(options.signal);
  if (wrong !== undefined) return invalidArgument(operationOf(waited), wrong);
  const { signal } = options;
  return signal?.aborted === true ? abortedWait(waited, signal.reason) : undefined;
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for options that are no object, or have names that there are not; gives them otherwise. */
export function checkedForm<Options extends object>(
  operation: string,
  options: Options,
  names: readonly (keyof Options & string)[],
): Options {
  const wrong = wrongForm(options, names);
  if (wrong !== undefined) throw invalidArgument(operation, wrong);
  return options;
}

/** Throws what an aborted signal says, and for wrong options a TypeError or RangeError: where sockets, files and children are used, that is how every wrong argument ends. */
export function checkWait(waited: Waited, { signal, timeoutMs }: WaitOptions): void {
  const badSignal = wrongSignal(signal);
  if (badSignal !== undefined) throw new TypeError(`Cannot ${operationOf(waited)}: ${badSignal}`);
  const badTimeout = wrongTimeout(timeoutMs);
  if (badTimeout !== undefined) throw new RangeError(`Cannot ${operationOf(waited)}: ${badTimeout}`);
  if (signal?.aborted === true) throw abortedWait(waited, signal.reason);
}

/** Calls `giveUp` once, when the signal is aborted or the time is over. Gives what ends that. The options have been checked, and the signal is not aborted yet. */
export function armWait(
  { signal, timeoutMs = 0 }: WaitOptions,
  waited: Waited,
  giveUp: (error: RingloomError) => void,
): (() => void) | undefined {
  if (signal === undefined && timeoutMs === 0) return undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopListening: (() => void) | undefined;
  const disarm = (): void => {
    stopListening?.();
    if (timer === undefined) return;
    clearTimeout(timer);
    waitOver(timer);
  };
  const end = (error: RingloomError): void => {
    disarm();
    giveUp(error);
  };
  if (signal !== undefined) stopListening = onAbort(signal, () => end(abortedWait(waited, signal.reason)));
  if (timeoutMs > 0) {
    timer = setTimeout(() => end(timedOutWait(waited, timeoutMs)), timeoutMs);
    waitBegun("timer", timer);
  }
  return disarm;
}

/** What `promise` gives, unless the wait for it is given up before. The options have been checked. */
export function unlessGivenUp<Value>(promise: Promise<Value>, options: WaitOptions, waited: Waited): Promise<Value> {
  return new Promise((resolve, reject) => {
    const disarm = armWait(options, waited, reject);
    promise.then(
      (value) => {
        disarm?.();
        resolve(value);
      },
      (error: unknown) => {
        disarm?.();
        reject(error);
      },
    );
  });
}

const WAIT_OPTION_NAMES: readonly string[] = ["signal", "timeoutMs"];

/** Without an array of its names: a wait that has options is in nobody's way, but is made often. */
function wrongForm(options: unknown, names: readonly string[]): string | undefined {
  if (typeof options !== "object" || options === null) return "its options are no object";
  for (const name in options) if (!names.includes(name)) return `there is no option ${name}`;
  return undefined;
}

function wrongTimeout(timeoutMs: unknown): string | undefined {
  if (timeoutMs === undefined) return undefined;
  if (typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX) return undefined;
  return `timeoutMs is ${String(timeoutMs)}, not a number from 0, which is never, to ${TIMEOUT_MS_MAX}`;
}

function wrongSignal(signal: unknown): string | undefined {
  return signal === undefined || signal instanceof AbortSignal ? undefined : "signal is not an AbortSignal";
}
