/**
 * What `select` can wait for, from the side of what is waited for: channels, timers, joins and signals implement it.
 *
 * All on one thread. A source offers its value to one waiter at a time, and hands it over only when that one's `claim` returns true, in the same synchronous
 * step. So a branch that loses has taken nothing: its source still has the value, for the next waiter.
 */

/**
 * The method by which a value becomes a branch of `select`.
 * @experimental
 */
export const selectable: unique symbol = Symbol("ringloom.selectable");

/**
 * One `select`, as one of its branches sees it.
 * @experimental
 */
export interface SelectWaiter<T> {
  /** Stands for the `select`. Two of its branches never serve each other, though one may send what the other receives. */
  readonly selection?: object;
  /** Whether one of its branches has won already, so that nothing need be fetched for it: for a source that could not put back what it has taken. */
  readonly isOver?: boolean;
  /** True for one branch, once: that one has won, and calls `resolve` or `reject` in the same step. False: another one has; keep the value. */
  claim(): boolean;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * Something that a `select` can wait for.
 * @experimental
 */
export interface Selectable<T> {
  /**
   * Ready now: claims, resolves or rejects inside the call, and returns undefined. Else remembers the waiter, and returns a function that forgets it; a branch
   * that has been forgotten never claims. The function may be called again, and after the waiter has won; then it does nothing.
   */
  [selectable](waiter: SelectWaiter<T>): (() => void) | undefined;
}
