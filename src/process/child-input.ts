/** What a child process reads. */
import type { Writable } from "node:stream";
import { RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { checkWait, unlessGivenUp } from "../task/wait-limits.js";

const WRITE = "write to the child";

/**
 * The standard input of a child process.
 * @experimental
 */
export class ChildInput {
  readonly #stream: Writable;

  /** @internal */
  constructor(stream: Writable) {
    this.#stream = stream;
    // Each write hears of it itself.
    stream.on("error", () => undefined);
  }

  /**
   * Writes all of it; text in UTF-8. Resolves when the pipe has taken it: waiting for that is the backpressure. Giving the wait up does not take back what was written.
   * @throws RingloomError (rejects) `EPIPE` when the child reads no more, `ERR_RINGLOOM_CLOSED` after {@link ChildInput.end}, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`.
   */
  async write(bytes: Uint8Array | string, options: WaitOptions = {}): Promise<void> {
    checkWait(WRITE, options);
    if (typeof bytes !== "string" && !(bytes instanceof Uint8Array))
      throw new TypeError(`Cannot ${WRITE}: it takes bytes or text, not ${typeof bytes}`);
    if (this.#stream.writableEnded) throw inputEnded();
    const written = new Promise<void>((resolve, reject) => {
      this.#stream.write(bytes, (error) => (error == null ? resolve() : reject(brokenPipe(error))));
    });
    await unlessGivenUp(written, options, WRITE);
  }

  /** The child finds the end of its input behind what was written. Resolves when all of that was taken, or the child reads no more. */
  end(): Promise<void> {
    const stream = this.#stream;
    if (stream.closed) return Promise.resolve();
    return new Promise((resolve) => {
      stream.once("close", resolve);
      stream.end();
    });
  }
}

function inputEnded(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${WRITE}: its input was ended.`, { operation: WRITE });
}

function brokenPipe(cause: Error): RingloomError {
  return new RingloomError("EPIPE", `Cannot ${WRITE}: it reads no more.`, { operation: WRITE, cause });
}
