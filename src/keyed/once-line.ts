/** A shard's line to the desk where values are made once (`once-desk.ts`). Each key is asked for once at a time, and the answer shared among this thread's callers. */
import { assert } from "../assert.js";
import { isCloneRefusal, notCloneable, RingloomError } from "../errors.js";
import { Boundary } from "../runtime/boundary.js";
import { callFailed } from "../runtime/boundary-errors.js";
import { fromThrownRecord, toThrownRecord } from "../scheduler/error-codec.js";
import { sendToDesk } from "./desk-line.js";
import { ONCE_KEYS_MAX } from "./once-desk.js";
import type { OnceAnswer, OnceAsk } from "./once-messages.js";

/** See the top of the file. */
export class OnceLine {
  readonly #operation: string;
  readonly #want: "once" | "flight";
  /** What is waited for, and with `once` what is known. */
  readonly #values = new Map<string, Promise<unknown>>();
  #line: Boundary<OnceAsk, OnceAnswer> | undefined;

  /** @param want `flight` forgets a value as soon as those who waited for it have it. */
  constructor(operation: string, want: "once" | "flight") {
    this.#operation = operation;
    this.#want = want;
  }

  /** The value of the key, which `make` makes if no thread has yet. */
  value(key: string, make: () => unknown): Promise<unknown> {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const value = this.#claim(key, make);
    this.#values.set(key, value);
    const forget = (): unknown => this.#values.delete(key);
    value.then(this.#want === "flight" ? forget : undefined, forget);
    return value;
  }

  async #claim(key: string, make: () => unknown): Promise<unknown> {
    const answer = await this.#ask({ claim: key });
    if ("value" in answer) return answer.value;
    if ("thrown" in answer) throw callFailed(fromThrownRecord(answer.thrown));
    if ("uncloneable" in answer) throw notCloneable(this.#operation, answer.uncloneable);
    if ("full" in answer) {
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot make ${JSON.stringify(key)} once: there are ${answer.full} keys already.`,
        { operation: this.#operation, details: { key } },
      );
    }
    return this.#make(key, make);
  }

  async #make(key: string, make: () => unknown): Promise<unknown> {
    let made: unknown;
    try {
      made = await make();
    } catch (error) {
      await this.#ask({ failed: key, thrown: toThrownRecord(error) });
      throw callFailed(error);
    }
    let value: unknown;
    try {
      // A clone here too, so that a value is the same on all shards.
      value = structuredClone(made);
    } catch (error) {
      const isRefusal = isCloneRefusal(error);
      await this.#ask(
        isRefusal ? { failed: key, uncloneable: error.message } : { failed: key, thrown: toThrownRecord(error) },
      );
      throw isRefusal ? notCloneable(this.#operation, error.message, error) : callFailed(error);
    }
    await this.#ask({ made: key, value });
    return value;
  }

  #ask(message: OnceAsk): Promise<OnceAnswer> {
    this.#line ??= this.#open();
    return this.#line.call(message, { timeoutMs: 0 });
  }

  #open(): Boundary<OnceAsk, OnceAnswer> {
    const line = new Boundary<OnceAsk, OnceAnswer>({ capacity: ONCE_KEYS_MAX * 2 });
    assert(line.port !== undefined, "a boundary that is made has a port to hand over");
    sendToDesk(this.#operation, { want: this.#want, port: line.port });
    return line;
  }
}
