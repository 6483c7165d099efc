/** The words that the loop hook (`native/loop.c`, `struct rl_control`) shares with TypeScript, and the hook's start and stop. */
import { checkNative, type NativeAddon } from "../native.js";
import { ENOTSUP } from "../uapi.js";

/** What the hook waits on: a ring, or an epoll set. */
export interface LoopSource {
  readonly native: NativeAddon;
  readonly handle: object;
  /** The words shared with the hook: see {@link CONTROL}. */
  readonly control: Int32Array;
  /** The same words as 64-bit floats: see {@link CONTROL_TIMES}. */
  readonly controlTimes: Float64Array;
  readonly isClosed: boolean;
  /** The hook is about to close it. */
  closed(): void;
}

/** Indexes into the words that both share, 32-bit ones. */
export const CONTROL = {
  /** Ours: something was committed outside a turn, so the hook must run one before it sleeps. */
  dirty: 0,
  /** Ours on a ring, the addon's on an epoll set: libuv's descriptor is readable, so the hook must go back to libuv. */
  backendReady: 1,
  /** Ours: 0 off, 1 fixed, 2 adaptive. */
  spinMode: 2,
  /** Ours: the longest spin, in microseconds. */
  spinMicros: 3,
  /** The hook's: 0 to 256, how well spinning has paid lately. */
  spinScore: 4,
  /** The hook's: calls of `io_uring_enter` or `epoll_wait`. */
  enters: 5,
  /** The hook's: calls that were ready to block. */
  sleeps: 6,
  /** The hook's: spins that found work. */
  spinHits: 7,
  /** The hook's: the error number of a wait that it could not handle; we take it and put 0 back. */
  error: 12,
  /** Ours: one-shot operations in flight, which may write into memory of this thread. */
  operations: 13,
  /** Ours: 1 when the hook must ask before it blocks. */
  asksToPark: 14,
  /** 0, or where a sleep stands: see {@link PARKING}. */
  parking: 15,
} as const;

/** Indexes into the same words as 64-bit floats: times in microseconds. */
export const CONTROL_TIMES = {
  idle: 4,
  spin: 5,
  /** The hook's: the longest turn of an inverted loop; we take it and put 0 back. */
  turnMax: 8,
} as const;

/** Values of `CONTROL.spinMode`. */
export const SPIN_MODES = { off: 0, fixed: 1, adaptive: 2 } as const;

/** Values of `CONTROL.parking`. The hook asks through a call of `turn`; the answer is stored before that returns. */
export const PARKING = { none: 0, asked: 1, agreed: 2 } as const;

/** Starts the hook: from now on `turn` runs whenever the source has something, or `CONTROL.dirty` is set. */
export function startLoop(source: LoopSource, turn: () => void, inverted: boolean): void {
  checkNative(source.native.startLoop(source.handle, turn, inverted ? 1 : 0), "start the loop hook");
}

/**
 * Whether a new source may sleep in libuv's place. One a thread can: two would keep each other awake, so the next one is polled by libuv whatever `wanted` says.
 */
export function mayInvert(native: NativeAddon, wanted: "inverted" | "uv"): boolean {
  return wanted === "inverted" && !native.hasInvertedLoop();
}

/**
 * Lets the hook write into word 0 of `words` whether this thread is awake; see `src/observe/heartbeat.ts`. Returns what takes the longest turn since the
 * last call, in microseconds; undefined where libuv does the waiting, so that the hook does not see it.
 */
export function publishPulse(source: LoopSource, words: Int32Array): (() => number) | undefined {
  const { native, handle, controlTimes } = source;
  const result = native.publishPulse(handle, words);
  if (result === -ENOTSUP) return undefined;
  checkNative(result, "publish the pulse");
  return function takeLongestTurnMicros() {
    const micros = controlTimes[CONTROL_TIMES.turnMax] ?? 0;
    controlTimes[CONTROL_TIMES.turnMax] = 0;
    return micros;
  };
}

/** How long the hook has slept and watched so far, in microseconds. */
export function readWaitTimes(source: LoopSource, into: { asleepMicros: number; spinningMicros: number }): void {
  into.asleepMicros = source.controlTimes[CONTROL_TIMES.idle] ?? 0;
  into.spinningMicros = source.controlTimes[CONTROL_TIMES.spin] ?? 0;
}
