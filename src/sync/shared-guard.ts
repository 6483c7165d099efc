/** What is held of a shared mutex or semaphore. */
import { Guard } from "./guard.js";

/**
 * Something that is held until it is released, or until its thread dies. `using` releases it at the end of the block.
 * @experimental
 */
export class SharedGuard extends Guard {
  /** Whether the thread that held it before has died with it: what it was changing may be half done. */
  readonly wasAbandoned: boolean;

  /** @internal */
  constructor(wasAbandoned: boolean, free: () => void) {
    super(free);
    this.wasAbandoned = wasAbandoned;
  }
}
