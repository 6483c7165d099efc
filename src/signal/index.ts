/**
 * `ringloom/signal`: signals of the operating system as streams. Everything here is experimental: it may change in a minor version.
 * @experimental
 */
export type { WaitOptions } from "../task/wait-errors.js";
export { SignalStream, signals } from "./signals.js";
