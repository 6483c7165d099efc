import type { BodySink } from "../../src/http/response-body.js";

/** A sink that remembers what it was told, and drains when the test says so. */
export class RecordingSink implements BodySink {
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  trailers: readonly string[] | undefined;
  error: unknown;
  /** Whether `write` asks the caller to wait. */
  isFull = false;
  #drain: (() => void) | undefined;
  #waiting: (() => void) | undefined;
  #abort: (() => void) | undefined;
  #over: (() => void)[] = [];

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  write(bytes: Uint8Array): boolean {
    this.events.push("write");
    this.chunks.push(Buffer.from(bytes));
    return !this.isFull;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drain = resolve;
      this.#waiting?.();
    });
  }

  /** Resolves when somebody waits for `drained`. */
  waiting(): Promise<void> {
    if (this.#drain !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  drain(): void {
    const drain = this.#drain;
    this.#drain = undefined;
    drain?.();
  }

  end(trailers?: readonly string[]): void {
    this.events.push("end");
    this.trailers = trailers;
    this.#finish();
  }

  fail(error: unknown): void {
    this.events.push("fail");
    this.error = error;
    this.#finish();
  }

  onAborted(listener: () => void): void {
    this.#abort = listener;
  }

  /** The client goes. */
  abort(): void {
    this.#abort?.();
    this.drain();
  }

  /** Resolves when the source has ended or failed. */
  over(): Promise<void> {
    if (this.events.includes("end") || this.events.includes("fail")) return Promise.resolve();
    return new Promise((resolve) => {
      this.#over.push(resolve);
    });
  }

  #finish(): void {
    for (const resolve of this.#over) resolve();
  }
}
