/** The WebSocket route of rooms: what comes from a socket, checked, and what becomes of it. */
import type { Answer, Context } from "../http/context.js";
import type { WebSocketRoute } from "../http/web-socket-route.js";
import { log } from "../observe/log.js";
import type { WebSocketLimits } from "../ws/options.js";
import type { WebSocket, WebSocketMessage } from "../ws/web-socket.js";
import type { Gateway, GatewaySocket } from "./gateway.js";
import { CLOSE, type ClientFrame, handledText, parseClientFrame } from "./protocol.js";
import type { RoomStats } from "./room.js";

/** How long a client may take to say hello, in milliseconds. */
const HELLO_MS = 10_000;
const MESSAGE_BYTES_MAX = 16 * 1024;

/**
 * Who comes in, and where.
 * @experimental
 */
export interface RoomRouteOptions<Data, Params extends string = string> {
  /** The key of the room that a handshake asks for. Answer with `c` to refuse: `return c.text("no", 403)`. */
  readonly key: (c: Context<Params>) => string | Answer | PromiseLike<string | Answer>;
  /** What the room gets as `member.data`, a structured clone of it. Default: undefined. It may refuse, too. */
  readonly connect?: (c: Context<Params>) => Data | Answer | PromiseLike<Data | Answer>;
  /** The values of Origin that may connect. Default: all. */
  readonly origins?: readonly string[];
  /** `messageBytesMax` is 16 KiB unless told otherwise, the others are those of WebSockets. */
  readonly limits?: Partial<WebSocketLimits>;
}

/** What sockets need of their rooms. */
export interface RouteParts {
  readonly gateway: Gateway;
  readonly stats: RoomStats;
  readonly slowMember: "close" | "leave";
}

/** One socket, from its handshake to its end. */
class RoomSocket implements GatewaySocket {
  readonly number: number;
  readonly connection: string;
  readonly key: string;
  readonly data: unknown;
  readonly missedStates = new Set<string>();
  epoch = "";
  isSlow = false;
  isRefused = false;
  /** Whether its room has been asked to take it. */
  hasJoined = false;
  /** Why the room will hear that it has gone. */
  how: "lost" | "slow" | "violation" = "lost";
  ws: WebSocket | undefined;
  helloTimer: NodeJS.Timeout | undefined;
  readonly #parts: RouteParts;

  constructor(parts: RouteParts, key: string, data: unknown) {
    this.#parts = parts;
    const { number, connection } = parts.gateway.newConnection();
    this.number = number;
    this.connection = connection;
    this.key = key;
    this.data = data;
  }

  send(text: string): boolean {
    const status = this.ws?.send(text);
    if (status === "backpressure") this.isSlow = true;
    if (status !== "dropped") return true;
    // It must not get what comes behind what it has missed.
    this.#parts.stats.slowMembers += 1;
    if (this.#parts.slowMember === "leave") this.how = "slow";
    this.close(CLOSE.tryAgain, "Too slow");
    return false;
  }

  close(code: number, reason: string): void {
    this.ws?.close(code, reason);
  }
}

/** The route, for `app.ws`. */
export function roomRoute<Data, Params extends string>(
  parts: RouteParts,
  options: RoomRouteOptions<Data, Params>,
): WebSocketRoute<unknown, Params> {
  const { key: keyOf, connect, origins, limits } = options;
  return {
    limits: { messageBytesMax: MESSAGE_BYTES_MAX, ...limits, concurrency: 1 },
    ...(origins === undefined ? {} : { origins }),
    async upgrade(c) {
      const key = await keyOf(c);
      if (c.answered) return c;
      if (typeof key !== "string" || key === "") throw new TypeError("Cannot open a room: its key is no text");
      const data = await connect?.(c);
      return c.answered ? c : new RoomSocket(parts, key, data);
    },
    open(ws) {
      const socket = ws.data as RoomSocket;
      socket.ws = ws;
      socket.helloTimer = setTimeout(() => socket.close(CLOSE.violation, "No hello came"), HELLO_MS).unref();
    },
    message: (ws, message) => received(parts, ws.data as RoomSocket, message),
    drain(ws) {
      const socket = ws.data as RoomSocket;
      socket.isSlow = false;
      parts.gateway.drained(socket.key, socket);
    },
    close(ws) {
      const socket = ws.data as RoomSocket;
      clearTimeout(socket.helloTimer);
      return parts.gateway.leave(socket.key, socket.connection, socket.how);
    },
  };
}

/** The next message of the socket waits for what is returned: so one that sends faster than its room handles is not read. */
function received(parts: RouteParts, socket: RoomSocket, message: WebSocketMessage): Promise<void> | undefined {
  const frame = parseClientFrame(message);
  if (frame === undefined || (frame.kind === "hello") === socket.hasJoined) {
    socket.how = "violation";
    socket.close(CLOSE.violation, "Not what a client of a room says");
    return undefined;
  }
  return act(parts, socket, frame).catch((error: unknown) => {
    // The client comes back and says it again; what was handled after all is not handled again.
    log.warn("a room did not take what a client sent", { key: socket.key, err: error });
    socket.close(CLOSE.tryAgain, "The room does not answer");
  });
}

async function act({ gateway }: RouteParts, socket: RoomSocket, frame: ClientFrame): Promise<void> {
  const { connection, key, data } = socket;
  switch (frame.kind) {
    case "hello": {
      clearTimeout(socket.helloTimer);
      socket.hasJoined = true;
      const { session, seen } = frame;
      const outcome = await gateway.join(key, socket, { session, seen, data });
      if (outcome === "full") socket.close(CLOSE.full, "The room is full");
      return;
    }
    case "say":
      await gateway.submit(key, { kind: "say", connection, n: frame.n, data: frame.data });
      if (!socket.isRefused) socket.send(handledText(frame.n));
      return;
    case "seen":
      await gateway.submit(key, { kind: "seen", connection, n: frame.n });
      return;
    case "bye":
      await gateway.leave(key, connection, "left");
      socket.close(CLOSE.left, "");
  }
}
