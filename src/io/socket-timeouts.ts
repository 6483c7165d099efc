/**
 * Inactivity timeouts of many sockets with one timer. A keep-alive server sets two timeouts a request, so setting one only stores a number; a
 * sweep compares them. What times out is noticed up to a tick late, never early.
 */

const TICK_MS_MAX = 250;
const TICK_MS_MIN = 5;
/** A tick is this part of the shortest timeout. */
const TICK_PARTS = 4;

/** What has a timeout. */
export interface TimedSocket {
  /** Milliseconds without activity; 0 for never. */
  timeout: number;
  /** `performance.now()` of the last activity. */
  activeAtMs: number;
  timedOut(): void;
}

/** What is to be done at some time whatever happens, such as cutting a peer that never reads. */
export interface Deadline {
  readonly atMs: number;
  readonly run: () => void;
}

/** The timeouts of one thread's sockets. Its timer does not keep the thread alive. */
export class SocketTimeouts {
  readonly #sockets = new Set<TimedSocket>();
  readonly #deadlines = new Set<Deadline>();
  #timer: NodeJS.Timeout | undefined;
  #tickMs = 0;

  /** Looks after a socket until its timeout is 0. Adding it again changes nothing. */
  watch(socket: TimedSocket): void {
    this.#sockets.add(socket);
    this.#tickFor(socket.timeout);
  }

  /** Forgets a socket. */
  forget(socket: TimedSocket): void {
    this.#sockets.delete(socket);
  }

  /** Deadlines that are neither over nor cancelled. */
  get deadlinesNow(): number {
    return this.#deadlines.size;
  }

  /** Calls `run` once, `ms` from now or up to a tick later. */
  after(ms: number, run: () => void): Deadline {
    const deadline = { atMs: performance.now() + ms, run };
    this.#deadlines.add(deadline);
    this.#tickFor(ms);
    return deadline;
  }

  /** Takes a deadline back. One that is over is ignored. */
  cancel(deadline: Deadline): void {
    this.#deadlines.delete(deadline);
  }

  /** Stops for good. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#sockets.clear();
    this.#deadlines.clear();
  }

  #tickFor(ms: number): void {
    const tickMs = Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, Math.floor(ms / TICK_PARTS)));
    if (this.#timer !== undefined && this.#tickMs <= tickMs) return;
    clearInterval(this.#timer);
    this.#tickMs = tickMs;
    this.#timer = setInterval(() => this.#sweep(), tickMs);
    this.#timer.unref();
  }

  #sweep(): void {
    const now = performance.now();
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const socket of this.#sockets) {
      const { timeout } = socket;
      if (timeout === 0) {
        this.#sockets.delete(socket);
        continue;
      }
      if (timeout < shortestMs) shortestMs = timeout;
      if (now - socket.activeAtMs < timeout) continue;
      // As in node:net a timeout fires once, and again after the next activity.
      socket.activeAtMs = Number.POSITIVE_INFINITY;
      socket.timedOut();
    }
    this.#runDeadlines(now);
    if (this.#timer === undefined) return;
    for (const { atMs } of this.#deadlines) shortestMs = Math.min(shortestMs, Math.max(0, atMs - now));
    // A short timeout that is over leaves a quick tick behind: begin anew with what is left.
    if (shortestMs / TICK_PARTS < this.#tickMs * 2) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (shortestMs < Number.POSITIVE_INFINITY) this.#tickFor(shortestMs);
  }

  #runDeadlines(now: number): void {
    // What `run` adds is later than `now`, so visiting it too does no harm.
    for (const deadline of this.#deadlines) {
      if (deadline.atMs > now) continue;
      this.#deadlines.delete(deadline);
      deadline.run();
    }
  }
}
