/** What the two ends of a boundary say to each other. Both are of one build, so messages are typed and not checked again. */
import type { ThrownRecord } from "../scheduler/error-codec.js";

/** From the end that calls. Each ask is answered once, also one that was given up: its answer is what makes room. */
export type CallerMessage =
  /** `deadlineMs` is a time of the clock that all threads share, 0 for none. */
  | { readonly ask: number; readonly value: unknown; readonly deadlineMs: number }
  /** Nobody waits for the answer any more. */
  | { readonly cancel: number };

/** Why an ask was answered without its handler, or in its place. */
export type Refusal = "overloaded" | "timeout" | "aborted";

/** From the end that serves. */
export type ServerMessage =
  | { readonly reply: number; readonly value: unknown }
  | { readonly reply: number; readonly thrown: ThrownRecord }
  /** The answer cannot be cloned; V8's sentence about it. */
  | { readonly reply: number; readonly uncloneable: string }
  | { readonly reply: number; readonly refused: Refusal };

/** Everything that travels; an end may call and serve. */
export type BoundaryMessage = CallerMessage | ServerMessage;
