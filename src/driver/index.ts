/**
 * `ringloom/driver`: the layer below the servers, for those who build one of their own. Choose a driver, create it, and speak the contract.
 * Everything here is experimental: it may change in a minor version.
 */

export { type HandshakeEnd, TlsAcceptor } from "../tls/acceptor.js";
export type { TlsCertificate, TlsReload, TlsServerOptions } from "../tls/server-options.js";
export {
  type DriverEnvironment,
  type EpollAvailability,
  epollAvailability,
  type RingProbe,
  type UringAvailability,
  type UringVerdict,
  uringAvailability,
} from "./availability.js";
export { chooseDriver, chooseTlsDriver, createDriver, type DriverChoice } from "./choose.js";
export type {
  Doorbell,
  Driver,
  DriverEvents,
  DriverName,
  DriverOptions,
  DriverStats,
  DriverWake,
  FilePath,
  IdleHooks,
  ListenAddress,
  Listening,
  ListenPath,
  OperationDone,
  Operations,
  PathRequest,
  ReceiveSlab,
  ReleaseDone,
  SpinPolicy,
  StatDone,
  TlsTarget,
  UnsafeDone,
  UnsafeSubmission,
} from "./contract.js";
export { CURRENT_POSITION } from "./contract.js";
export { closeDoorbell, createDoorbell, forceDoorbell, type RingResult, ringDoorbell } from "./doorbell.js";
export { createEpollDriver } from "./epoll.js";
export type { FileStat, FileType } from "./file-stat.js";
export { createPortableDriver } from "./portable.js";
export { createUringDriver } from "./uring.js";
