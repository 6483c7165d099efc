/** Promises of what has begun, told apart by type from what `select` can still leave alone. */

/**
 * The promise of an operation that has begun: it takes or gives its value whoever looks at the promise. `select` refuses it at compile time, since a branch that loses must leave the value where it is: pass the channel or
 * lock itself, or `sending(value)`.
 * @experimental
 */
export type Started<Value> = Promise<Value> & { readonly [started]?: true };

/** Marks the type; there is no such property. */
declare const started: unique symbol;

/**
 * What is no such promise.
 * @experimental
 */
export interface NotStarted {
  readonly [started]?: never;
}
