/** Events of Node's emitters and of the web's event targets as branches of `select`. */
import type { EventEmitter } from "node:events";
import { waitBegun, waitOver } from "../scheduler/open-waits.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";

/**
 * For `select`: the next event of an emitter or event target. It listens while the `select` waits, and only then: what is emitted between two of them is missed.
 * @returns A branch that gives the arguments of the event; of an event target, the event alone.
 * @example
 * ```ts run
 * import { EventEmitter } from "node:events";
 * import { emitted, select } from "ringloom/sync";
 * const door = new EventEmitter();
 * setTimeout(() => door.emit("open", "ada"), 5);
 * const { value } = await select({ opened: emitted(door, "open") });
 * console.log(value); // [ 'ada' ]
 * ```
 * @experimental
 */
export function emitted(source: EventEmitter | EventTarget, name: string): Selectable<readonly unknown[]> {
  return { [selectable]: (branch) => listen(source, name, branch) };
}

function listen(
  source: EventEmitter | EventTarget,
  name: string,
  branch: SelectWaiter<readonly unknown[]>,
): () => void {
  const stop = (): void => {
    waitOver(hear);
    if ("off" in source) source.off(name, hear);
    else source.removeEventListener(name, hear);
  };
  const hear = (...values: unknown[]): void => {
    stop();
    if (branch.claim()) branch.resolve(values);
  };
  waitBegun("listener", hear);
  if ("on" in source) source.on(name, hear);
  else source.addEventListener(name, hear);
  return stop;
}
