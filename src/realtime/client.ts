/**
 * `ringloom/realtime/client`: the other end of a room, for browsers and Node. One file without imports, so that a server can hand it to a page as it is.
 *
 *     CONNECTING ── welcome ──▶ JOINED ── the connection is lost ──▶ WAITING ── its time comes ──▶ CONNECTING
 *         └──────────────── a final close code, or close() ────────────────▶ ENDED
 * @experimental
 */

/**
 * What the client needs of a WebSocket; the browser's has it.
 * @experimental
 */
export interface SocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
}

/**
 * How a client is, in words for people: on its way, in the room, waiting for the next attempt, or ended for good.
 * @experimental
 */
export type RoomClientStatus = "connecting" | "joined" | "waiting" | "ended";

/**
 * What a welcome says.
 * @experimental
 */
export interface RoomWelcome {
  /** The client's id in the room. */
  readonly member: string;
  /** False for somebody new to the room: what was there before does not follow. */
  readonly isResumed: boolean;
  /** Messages of a session that could not be resumed, of which nobody knows whether they were handled. They are not sent again. */
  readonly uncertain: readonly unknown[];
}

/**
 * What a client does with what comes.
 * @experimental
 */
export interface RoomClientOptions {
  /** `ws:` or `wss:`. A function is asked before each attempt. */
  readonly url: string | (() => string);
  /** Each event once, in order. */
  readonly event?: (data: unknown, n: number) => void;
  /** The last value of a key. */
  readonly state?: (key: string, value: unknown) => void;
  readonly welcome?: (welcome: RoomWelcome) => void;
  readonly status?: (status: RoomClientStatus) => void;
  /** It does not come back: the close code, from 4000 to 4999 when the room said so, 1000 after `close()`. */
  readonly end?: (code: number, reason: string) => void;
  /** Keeps the session for the same page loaded again; `sessionStorage` is one. Default: none. */
  readonly storage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  /** Under which name. Default: `ringloom-room`. Give each room of a page another one. */
  readonly storageKey?: string;
  /** Messages that wait for the room; `send` answers false above it. Default 1,000. */
  readonly waitingMax?: number;
  /** The first and the longest pause before an attempt, in milliseconds. Default 250 and 10,000. */
  readonly retryMsMin?: number;
  readonly retryMsMax?: number;
  /** The WebSocket to use. Default: the global one. */
  readonly WebSocket?: new (
    url: string,
  ) => SocketLike;
}

interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

interface Waiting {
  readonly data: unknown;
  readonly text: string;
  n: number;
}

/** How long an event may wait to be acknowledged, in milliseconds. */
const SEEN_MS = 1_000;
/** Close codes that another attempt would bring again. */
const FINAL_CODES: readonly number[] = [1000, 1002, 1003, 1007, 1008, 1009];

/**
 * A client of a room, from now until {@link RoomClient.close} or until the room says that it may not come back. It connects by itself, and again whenever the connection is lost.
 * @example
 * ```ts
 * import { RoomClient } from "ringloom/realtime/client";
 * const client = new RoomClient({
 *   url: "ws://127.0.0.1:9090/tables/1?name=ada",
 *   event: (data) => console.log(data),
 *   end: (code, reason) => console.log(`ended: ${code} ${reason}`),
 * });
 * client.send("hello, all");
 * ```
 * @experimental
 */
export class RoomClient {
  readonly #options: RoomClientOptions;
  #socket: SocketLike | undefined;
  #status: RoomClientStatus = "connecting";
  #session: string | null = null;
  #seen = 0;
  #seenSaid = 0;
  #lastN = 0;
  /** What the room has not acknowledged, oldest first. */
  #waiting: Waiting[] = [];
  /** The last of them that was sent in this session. */
  #sentN = 0;
  #failures = 0;
  #hasOpened = false;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #seenTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RoomClientOptions) {
    this.#options = options;
    this.#load();
    this.#connect();
  }

  get status(): RoomClientStatus {
    return this.#status;
  }

  /** Messages that the room has not acknowledged. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** The last event that was seen. */
  get seen(): number {
    return this.#seen;
  }

  /** Sends a message, now or as soon as there is a connection. False when too many wait, or it has ended. Throws TypeError for what has no JSON. */
  send(data: unknown): boolean {
    if (this.#status === "ended" || this.#waiting.length >= (this.#options.waitingMax ?? 1_000)) return false;
    const text: unknown = JSON.stringify(data);
    if (typeof text !== "string") throw new TypeError(`Cannot send: ${typeof data} has no JSON`);
    this.#lastN += 1;
    this.#waiting.push({ data, text, n: this.#lastN });
    if (this.#status === "joined") this.#flush();
    return true;
  }

  /** Leaves the room for good. */
  close(): void {
    if (this.#status === "ended") return;
    const socket = this.#socket;
    if (this.#status === "joined") socket?.send('["bye"]');
    // The room closes; where it does not, the close frame does.
    if (this.#status !== "joined") socket?.close(1000);
    else setTimeout(() => socket?.close(1000), SEEN_MS);
    this.#end(1000, "");
  }

  /** Drops the connection, and does not come back before {@link RoomClient.reconnect}: for a page that nobody looks at. The room keeps the session for `resumeMs`. */
  disconnect(): void {
    if (this.#status === "ended") return;
    const socket = this.#socket;
    this.#socket = undefined;
    clearTimeout(this.#retryTimer);
    this.#setStatus("waiting");
    socket?.close(1000);
  }

  /** Drops the connection, if there is one, and comes back at once: also for pages that know that the network has changed. */
  reconnect(): void {
    if (this.#status === "ended") return;
    const socket = this.#socket;
    this.#connect();
    socket?.close(1000);
  }

  #connect(): void {
    clearTimeout(this.#retryTimer);
    this.#setStatus("connecting");
    // The callback may have ended it.
    if (this.#status !== "connecting") return;
    const socket = this.#open();
    if (socket === undefined) return;
    this.#hasOpened = true;
    this.#socket = socket;
    socket.onopen = () => {
      if (this.#socket === socket) socket.send(JSON.stringify(["hello", this.#session, this.#seen]));
    };
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      if (this.#socket === socket && typeof data === "string") this.#received(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) => {
      if (this.#socket === socket) this.#closed(code, reason);
    };
    socket.onerror = () => undefined;
  }

  /** What is wrong from the first is the caller's to know; later it is an attempt that has failed. */
  #open(): SocketLike | undefined {
    const { url, WebSocket = globalWebSocket() } = this.#options;
    try {
      return new WebSocket(typeof url === "string" ? url : url());
    } catch (error) {
      if (!this.#hasOpened) throw error;
      this.#closed(1006, "");
      return undefined;
    }
  }

  #received(message: unknown): void {
    if (!Array.isArray(message)) return;
    const [kind, first, second] = message as readonly unknown[];
    switch (kind) {
      case "welcome":
        return this.#welcomed(first as WelcomeFrame);
      case "event":
        return this.#event(first as number, second);
      case "state":
        return this.#options.state?.(String(first), second);
      case "handled":
        return this.#handled(first as number);
    }
  }

  #welcomed({ session, member, isResumed, handled, seen }: WelcomeFrame): void {
    let uncertain: readonly unknown[] = [];
    // What was asked for since the page was loaded again has numbers of its own, and was not sent yet.
    if (isResumed) this.#handled(Math.min(handled, this.#sentN));
    else {
      // Another session: what was sent in the one before may have been handled or not.
      uncertain = this.#waiting.filter(({ n }) => n <= this.#sentN).map(({ data }) => data);
      this.#waiting = this.#waiting.filter(({ n }) => n > this.#sentN);
      this.#seen = seen;
      this.#seenSaid = seen;
    }
    // The room goes on behind what it has handled: what it lost is sent again under the same numbers.
    this.#lastN = handled;
    for (const waiting of this.#waiting) waiting.n = this.#lastN += 1;
    this.#sentN = handled;
    this.#session = session;
    this.#failures = 0;
    this.#save();
    this.#setStatus("joined");
    this.#options.welcome?.({ member, isResumed, uncertain });
    this.#flush();
  }

  #event(n: number, data: unknown): void {
    if (n <= this.#seen) return;
    this.#seen = n;
    this.#save();
    this.#seenTimer ??= setTimeout(() => this.#saySeen(), SEEN_MS);
    this.#options.event?.(data, n);
  }

  #saySeen(): void {
    this.#seenTimer = undefined;
    if (this.#status !== "joined" || this.#seen === this.#seenSaid) return;
    this.#seenSaid = this.#seen;
    this.#socket?.send(JSON.stringify(["seen", this.#seen]));
  }

  #handled(n: number): void {
    while (this.#waiting[0] !== undefined && this.#waiting[0].n <= n) this.#waiting.shift();
  }

  #flush(): void {
    for (const { n, text } of this.#waiting) {
      if (n <= this.#sentN) continue;
      this.#sentN = n;
      this.#socket?.send(`["say",${n},${text}]`);
    }
  }

  #closed(code: number, reason: string): void {
    this.#socket = undefined;
    if (FINAL_CODES.includes(code) || (code >= 4000 && code <= 4999)) return this.#end(code, reason);
    const { retryMsMin = 250, retryMsMax = 10_000 } = this.#options;
    const pauseMs = Math.min(retryMsMin * 2 ** this.#failures, retryMsMax);
    this.#failures += 1;
    // Spread, so that all clients of a server that was restarted do not come at once.
    this.#retryTimer = setTimeout(() => this.#connect(), pauseMs * (0.5 + Math.random() / 2));
    // Last, because the callback may end it.
    this.#setStatus("waiting");
  }

  #end(code: number, reason: string): void {
    this.#socket = undefined;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#seenTimer);
    this.#store((storage, key) => storage.removeItem(key));
    this.#setStatus("ended");
    this.#options.end?.(code, reason);
  }

  #setStatus(status: RoomClientStatus): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#options.status?.(status);
  }

  #load(): void {
    this.#store((storage, key) => {
      const saved: unknown = JSON.parse(storage.getItem(key) ?? "null");
      if (!Array.isArray(saved) || typeof saved[0] !== "string" || typeof saved[1] !== "number") return;
      [this.#session, this.#seen] = saved as [string, number];
    });
  }

  #save(): void {
    this.#store((storage, key) => storage.setItem(key, JSON.stringify([this.#session, this.#seen])));
  }

  /** Storage may be full or forbidden: then the session lasts for as long as the page. */
  #store(use: (storage: Storage, key: string) => void): void {
    const { storage, storageKey = "ringloom-room" } = this.#options;
    if (storage === undefined) return;
    try {
      use(storage, storageKey);
    } catch {
      // Not this time.
    }
  }
}

interface WelcomeFrame {
  readonly session: string;
  readonly member: string;
  readonly isResumed: boolean;
  readonly handled: number;
  readonly seen: number;
}

function globalWebSocket(): new (url: string) => SocketLike {
  const found: unknown = Reflect.get(globalThis, "WebSocket");
  if (typeof found !== "function")
    throw new TypeError("Cannot connect: there is no global WebSocket; give one as an option");
  return found as new (
    url: string,
  ) => SocketLike;
}
