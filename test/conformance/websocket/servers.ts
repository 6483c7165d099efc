/** Servers that echo WebSocket messages: ours on a driver, and that of `ws`, which shows that the driver of the list is right. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { App, type WebSocketRoute } from "../../../src/http/index.js";
import type { DriverUnderTest } from "../../support/drivers.js";
import { SocketServer } from "../../support/test-server.js";
import { FRAGMENTS_MAX, MESSAGE_BYTES_MAX } from "./large-cases.js";
import type { EchoServer } from "./session.js";

/** A server that can be stopped. */
export interface RunningEcho extends EchoServer {
  readonly name: string;
  stop(): Promise<void>;
}

const PATH = "/echo";
const MIB = 1024 * 1024;
/** Short messages too; contexts live on where the client allows it. A server without compression knows nothing of it. */
const COMPRESSED = { compression: { thresholdBytes: 0, serverContextTakeover: true, clientContextTakeover: true } };

/** Ours, with the limits that the largest messages of the list need, several at a time. */
export async function startOurs(driver: DriverUnderTest): Promise<RunningEcho> {
  const app = new App();
  const route: WebSocketRoute<undefined> = {
    ...COMPRESSED,
    message: (ws, message) => void ws.send(message),
    limits: {
      messageBytesMax: MESSAGE_BYTES_MAX,
      fragmentsMax: FRAGMENTS_MAX,
      sendBytesMax: 4 * MESSAGE_BYTES_MAX,
      inboundBytesTotalMax: 256 * MIB,
    },
  };
  app.ws(PATH, route);
  const server = await SocketServer.start(driver, app, { sizes: { writePoolBytes: 256 * MIB } });
  return { name: `ringloom, ${driver.name}`, port: server.port, path: PATH, stop: () => server.close() };
}

/** `ws` of npm. It looks at text when a message is complete, as ours does. */
export async function startWs(): Promise<RunningEcho> {
  const options = {
    host: "127.0.0.1",
    port: 0,
    path: PATH,
    maxPayload: MESSAGE_BYTES_MAX,
    maxFragments: FRAGMENTS_MAX,
    perMessageDeflate: true,
  };
  const server = new WebSocketServer(options);
  server.on("connection", (socket) => {
    socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
    // It ends the connection by itself; without a listener the process would end too.
    socket.on("error", () => undefined);
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
  };
  return { name: "ws", port, path: PATH, stop };
}
