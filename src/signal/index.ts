/**
 * `ringloom/signal`: signals of the operating system as streams. Everything here is experimental: it may change in a minor version.
 * @experimental
 */
export { SignalStream, type SignalWaitOptions, signals } from "./signals.js";
