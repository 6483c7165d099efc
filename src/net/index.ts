/** `ringloom/net`: TCP and Unix stream sockets on this thread's driver, UDP, Unix datagrams and descriptors passed over Unix sockets. Everything here is experimental. */
export type { WaitOptions } from "../task/wait-errors.js";
export type { Pem, TlsClientOptions } from "../tls/client-options.js";
export type { TlsInfo } from "../tls/tls-info.js";
export { adoptSocket } from "./adopt-socket.js";
export { adoptStream, type ConnectOptions, type ConnectTarget, connect, connectMany, startTls } from "./connect.js";
export { DescriptorListener, type DescriptorListenOptions, listenDescriptors } from "./descriptor-listener.js";
export {
  adoptDescriptorStream,
  connectDescriptorStream,
  type DescriptorMessage,
  DescriptorStream,
  type DescriptorStreamOptions,
} from "./descriptor-stream.js";
export type { SegmentHandler } from "./inbound.js";
export { type ListenOptions, type ListenTarget, listen, NetListener } from "./listener.js";
export { OwnedDescriptor } from "./owned-descriptor.js";
export { openPipe, Pipe, type PipeOptions } from "./pipe.js";
export { type PlacedHandler, type PlacedOptions, placedHandler, type StreamPlacement } from "./placement.js";
export { connectPush, type PushHandlers, type PushOptions, PushSocket, pushSocket } from "./push.js";
export type { Resolver } from "./resolver.js";
export { type NetAddress, NetStream } from "./stream.js";
export type { StreamOptions } from "./stream-options.js";
export { bindUdp, type Datagram, type DatagramInto, type UdpAddress, type UdpOptions, UdpSocket } from "./udp.js";
export {
  bindUnixDatagram,
  type MessageSendOptions,
  type UnixDatagram,
  type UnixDatagramInto,
  type UnixDatagramOptions,
  UnixDatagramSocket,
} from "./unix-datagram.js";
