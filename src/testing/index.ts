/**
 * `ringloom/testing`: what the tests of a server need. Everything here is experimental until 1.0: it may change in a minor version.
 * @experimental
 */
export { type Injected, type InjectOptions, inject } from "../http/inject.js";
export { useVirtualTime, VirtualTime } from "../time/virtual-time.js";
export { detectLeaks } from "./leaks.js";
