/** What a shard and the supervisor's desk say to each other about keys that are run once. */
import type { ThrownRecord } from "../scheduler/error-codec.js";

/** From a shard. */
export type OnceAsk =
  /** Who has the value, or is to make it? Answered when that is known. */
  | { readonly claim: string }
  /** The value that this shard was told to make. */
  | { readonly made: string; readonly value: unknown }
  /** It could not be made. */
  | { readonly failed: string; readonly thrown: ThrownRecord }
  /** It cannot be cloned; V8's sentence about it. */
  | { readonly failed: string; readonly uncloneable: string };

/** To a shard. */
export type OnceAnswer =
  /** This shard makes it. */
  | { readonly run: true }
  | { readonly value: unknown }
  | { readonly thrown: ThrownRecord }
  | { readonly uncloneable: string }
  /** There is no room for another key. */
  | { readonly full: number };
