/** Waiting with an end. */

/** When a wait ends before what it waits for, and with which error. */
export interface WaitEnd {
  readonly signal: AbortSignal | undefined;
  /** 0 is never. */
  readonly timeoutMs: number;
  readonly timedOut: () => Error;
  readonly aborted: (reason: unknown) => Error;
}

/** The longest time that a timer of Node's takes, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What `value` gives, unless the time is over or the signal aborts before. */
export async function within<Value>(value: Promise<Value>, end: WaitEnd): Promise<Value> {
  const { signal, timeoutMs } = end;
  if (signal === undefined && timeoutMs === 0) return value;
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  try {
    return await new Promise<Value>((resolve, reject) => {
      value.then(resolve, reject);
      if (timeoutMs > 0) timer = setTimeout(() => reject(end.timedOut()), Math.min(timeoutMs, TIMER_MS_MAX));
      onAbort = () => reject(end.aborted(signal?.reason));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
  }
}
