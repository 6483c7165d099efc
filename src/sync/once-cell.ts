/** Values that are made once, by whoever asks first. */
import { invalidArgument, type WaitOptions } from "../task/wait-errors.js";
import { WaitList } from "../task/wait-list.js";

/**
 * Makes a cell whose value is made when it is first asked for. All that ask meanwhile wait for the same one. When making it fails, those that wait get the error, and the next one tries again.
 *
 * This is for one thread; `once` of `ringloom` is for all shards.
 * @example
 * ```ts run
 * import { onceCell } from "ringloom/sync";
 * let connects = 0;
 * const connection = onceCell(async () => ++connects);
 * console.log(await Promise.all([connection.get(), connection.get()])); // [ 1, 1 ]
 * ```
 * @experimental
 */
export function onceCell<Value>(make: () => Value | PromiseLike<Value>): OnceCell<Value> {
  return new OnceCell(make);
}

/**
 * A value that is made once. Made by {@link onceCell}.
 * @experimental
 */
export class OnceCell<Value> {
  readonly #make: () => Value | PromiseLike<Value>;
  /** Those that may give up; none of them is left behind when it has. */
  readonly #waiting = new WaitList<Value>("get", { waitingMax: Number.POSITIVE_INFINITY });
  #promise: Promise<Value> | undefined;
  #made: { readonly value: Value } | undefined;

  /** @internal */
  constructor(make: () => Value | PromiseLike<Value>) {
    if (typeof make !== "function") throw invalidArgument("make a once cell", "what makes its value is no function");
    this.#make = make;
  }

  /** The value if it has been made, else undefined. */
  get value(): Value | undefined {
    return this.#made?.value;
  }

  /**
   * The value, which is made if it has not been.
   * @throws (rejects) What making it throws; RingloomError `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`: it goes on being made for the others.
   */
  get(options?: WaitOptions): Promise<Value> {
    const refused = options === undefined ? undefined : this.#waiting.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    this.#promise ??= this.#begin();
    return options === undefined || this.#made !== undefined ? this.#promise : this.#waiting.wait(undefined, options);
  }

  #begin(): Promise<Value> {
    const promise = call(this.#make);
    promise.then(
      (value) => {
        this.#made = { value };
        for (let waiter = this.#waiting.take(); waiter !== undefined; waiter = this.#waiting.take())
          waiter.settle(value);
      },
      (error: unknown) => {
        this.#promise = undefined;
        this.#waiting.failAll(() => error);
      },
    );
    return promise;
  }
}

/** What it throws at once is a rejection too. */
async function call<Value>(make: () => Value | PromiseLike<Value>): Promise<Value> {
  return make();
}
