/** What the ring can do and no other call here offers: an entry of the caller's own making. */
import { AsyncResource } from "node:async_hooks";
import type { UnsafeSubmission } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { IORING_CQE_F_MORE } from "../uapi.js";
import { threadDriver } from "./thread-driver.js";

export type { UnsafeSubmission } from "../driver/contract.js";

/**
 * What the kernel answered: the two fields of `struct io_uring_cqe`.
 * @experimental
 */
export interface UnsafeCompletion {
  /** What the operation returns, or a negative error number. */
  readonly result: number;
  readonly flags: number;
}

/**
 * How {@link unsafeSubmit} goes about it.
 * @experimental
 */
export interface UnsafeSubmitOptions {
  /** Cancels the submission. The promise settles with its last completion all the same, which has -ECANCELED as a rule. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each completion that has more behind it (`IORING_CQE_F_MORE`), of multishot operations for instance. */
  readonly onCompletion?: (completion: UnsafeCompletion) => void;
}

/**
 * Submits an entry to the ring of this thread and resolves with its last completion, whatever the result. The buffers are the kernel's until then. Nothing in the entry is checked: UNSAFE means that a wrong address or length lets the
 * kernel overwrite memory of this process. For a certain shard, call it there (`invokeOnShard`).
 *
 * ```ts
 * import { unsafeSubmit } from "ringloom";
 *
 * const IORING_OP_READ = 22;
 * const bytes = new Uint8Array(4096);
 * const entry = new Int32Array(16);
 * entry[0] = IORING_OP_READ;
 * entry[1] = 0; // the descriptor
 * entry[6] = bytes.length;
 * const { result } = await unsafeSubmit({ entry, buffers: [{ word: 4, bytes }] });
 * ```
 * @throws RingloomError `ERR_RINGLOOM_UNSUPPORTED` on a thread without a ring, `ERR_RINGLOOM_OVERLOADED`; a TypeError or RangeError for an entry that is none.
 * @experimental
 */
export async function unsafeSubmit(
  submission: UnsafeSubmission,
  { signal, onCompletion }: UnsafeSubmitOptions = {},
): Promise<UnsafeCompletion> {
  const { name, operations } = threadDriver().driver;
  if (operations.unsafeSubmit === undefined)
    throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", `Cannot unsafeSubmit: the ${name} driver has no ring`, {
      operation: "unsafeSubmit",
      details: { driver: name },
    });
  if (signal?.aborted === true)
    throw new RingloomError("ERR_RINGLOOM_ABORTED", "Cannot unsafeSubmit: it was given up", {
      operation: "unsafeSubmit",
      cause: signal.reason,
    });
  // Completions are reaped in whatever context the driver runs in.
  const told = onCompletion && AsyncResource.bind(onCompletion);
  return await new Promise((resolve) => {
    const cancel = (): void => operations.cancel(id);
    const id = operations.unsafeSubmit!(submission, (result, flags) => {
      if ((flags & IORING_CQE_F_MORE) !== 0) return told?.({ result, flags });
      signal?.removeEventListener("abort", cancel);
      resolve({ result, flags });
    });
    signal?.addEventListener("abort", cancel);
  });
}
