/** What shared memory may take that is made while the server runs: caches, channels, locks. It comes out of what the printed budget has to spare. */
import { log } from "../observe/log.js";

const MIB = 2 ** 20;

/** The sum of it, and how much there is to spare. */
export class SpareMemory {
  /** What the budget has to spare. Any amount, where there is no budget. */
  bytesMax = Number.POSITIVE_INFINITY;
  #bytes = 0;

  /** Something more was made. Once it is used the process may cross its container's limit, and is killed without a word then; so the operator hears of it. */
  take(bytes: number, what: Readonly<Record<string, string>>): void {
    this.#bytes += bytes;
    if (this.#bytes <= this.bytesMax) return;
    log.warn(
      "shared caches and channels may take more memory than the budget has to spare: lower maxBytes, capacity, valueBytesMax or --heap-mib",
      { ...what, sharedMib: Math.ceil(this.#bytes / MIB), spareMib: Math.max(0, Math.floor(this.bytesMax / MIB)) },
    );
  }
}
