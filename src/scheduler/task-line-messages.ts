/** What a thread that is none of ours and the main thread say to each other about tasks. Both are of one build, so messages are typed and not checked again. */
import type { TransferListItem } from "node:worker_threads";
import type { TaskOptions } from "./call-options.js";
import type { ThrownRecord } from "./error-codec.js";
import type { PortForm } from "./port-form.js";

/** Options of a call that travel as they are. */
export type TravellingOptions = Pick<TaskOptions, "placement" | "timeoutMs" | "idempotent" | "blocking">;

/** From the thread that calls. */
export type TaskLineAsk =
  /** The first: the word that is added to and rung with each answer. */
  | { readonly bell: Int32Array }
  | {
      readonly call: number;
      readonly module: string;
      readonly name: string;
      readonly args: PortForm;
      readonly options: TravellingOptions;
      /** What in the arguments was handed over, to be handed on. */
      readonly transfer: readonly TransferListItem[];
    }
  /** Nobody waits for it any more. It is answered all the same. */
  | { readonly cancel: number };

/** From the main thread: one for each call. */
export type TaskLineAnswer =
  | { readonly call: number; readonly value: PortForm }
  | { readonly call: number; readonly thrown: ThrownRecord };
