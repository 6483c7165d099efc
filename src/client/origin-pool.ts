/**
 * The connections to one origin, and the requests that wait for one.
 *
 *     a request → [an idle connection, the one used last] → or [waits, first come first served; a connection is opened for it where there may be one more]
 *
 * A connection that becomes free takes the oldest request, whichever it was opened for. One that cannot be opened fails the oldest request.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Fifo } from "../messages/fifo.js";
import { netHost } from "../net/net-host.js";
import { ClientConnection, type ConnectionOwner } from "./client-connection.js";
import { tooManyPending } from "./client-errors.js";
import type { ClientSettings } from "./client-options.js";
import type { Exchange, ExchangeHolder } from "./exchange.js";
import { openTransport } from "./open-transport.js";
import type { Target } from "./target.js";
import type { Transport } from "./transport.js";

/** The wait before the second attempt to connect, in milliseconds; it doubles each time. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 2_000;
/** What may be over in a moment. A name that is not there, a wrong certificate and a proxy that says no are not. */
const PASSING = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EPIPE",
  "ETIMEDOUT",
  "ETIMEOUT",
  "ESERVFAIL",
  "EAI_AGAIN",
  "ERR_RINGLOOM_UNEXPECTED_END",
]);

/** What the pool tells its client. */
export interface PoolOwner {
  /** It has nothing any more. */
  poolEmpty(pool: OriginPool): void;
}

/** What a pool has now. */
export interface PoolCounts {
  readonly open: number;
  readonly idle: number;
  readonly connecting: number;
  readonly pending: number;
}

/** See the top of the file. */
export class OriginPool implements ConnectionOwner, ExchangeHolder {
  readonly #target: Target;
  readonly #settings: ClientSettings;
  readonly #owner: PoolOwner;
  readonly #connections = new Set<ClientConnection>();
  /** The one that was used last is at the end. */
  readonly #idle: ClientConnection[] = [];
  readonly #connecting = new Set<AbortController>();
  readonly #pending = new Fifo<Exchange>();
  #isClosing = false;

  /** @param target any of the origin. */
  constructor(target: Target, settings: ClientSettings, owner: PoolOwner) {
    this.#target = target;
    this.#settings = settings;
    this.#owner = owner;
  }

  get counts(): PoolCounts {
    return {
      open: this.#connections.size,
      idle: this.#idle.length,
      connecting: this.#connecting.size,
      pending: this.#pending.length,
    };
  }

  /** Sends the request, now or later. */
  send(exchange: Exchange): void {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop())
      if (connection.isFresh()) return connection.begin(exchange);
    this.#wait(exchange);
  }

  /** Closes what is idle now, and everything else when its request is over. */
  close(): void {
    this.#isClosing = true;
    for (const connection of [...this.#idle]) connection.close();
    this.#settle();
  }

  /** Ends everything with that error. */
  destroy(error: Error): void {
    this.#isClosing = true;
    for (let exchange = this.#pending.shift(); exchange !== undefined; exchange = this.#pending.shift())
      exchange.fail(error, false);
    for (const controller of this.#connecting) controller.abort(error);
    for (const connection of [...this.#connections]) connection.destroy(error);
    this.#settle();
  }

  // --- what the connections say

  connectionFree(connection: ClientConnection): void {
    const next = this.#pending.shift();
    if (next !== undefined) return connection.begin(next);
    if (this.#isClosing) return connection.close();
    this.#idle.push(connection);
    connection.rest();
  }

  connectionGone(connection: ClientConnection): void {
    this.#connections.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#grow();
    this.#settle();
  }

  sendAgain(exchange: Exchange): void {
    this.send(exchange);
  }

  // --- what an exchange says that waits

  giveUp(exchange: Exchange): void {
    this.#pending.remove(exchange);
    // Nobody is left for the connections that were begun last.
    for (const controller of [...this.#connecting].reverse())
      if (this.#connecting.size > this.#pending.length) this.#stop(controller);
    this.#settle();
  }

  bodyRead(): void {}

  // --- connections to come

  #wait(exchange: Exchange): void {
    const { pendingMax, connectionsMax } = this.#settings;
    const mayOpen = this.#connections.size + this.#connecting.size < connectionsMax;
    if (!mayOpen && this.#pending.length - this.#connecting.size >= pendingMax) {
      exchange.fail(tooManyPending(exchange.message.name, pendingMax));
      return;
    }
    this.#pending.push(exchange);
    exchange.heldBy(this);
    exchange.beginWaiting();
    this.#grow();
  }

  /** Opens what is missing for those who wait. */
  #grow(): void {
    const { connectionsMax } = this.#settings;
    while (
      this.#connecting.size < this.#pending.length &&
      this.#connections.size + this.#connecting.size < connectionsMax
    )
      void this.#open();
  }

  async #open(): Promise<void> {
    const controller = new AbortController();
    this.#connecting.add(controller);
    try {
      const transport = await this.#connect(controller.signal);
      if (!this.#connecting.delete(controller)) return transport.destroy();
      try {
        this.#adopt(transport);
      } catch (error) {
        this.#pending.shift()?.fail(error as Error);
        this.#grow();
      }
    } catch (error) {
      // It was not wanted any more.
      if (!this.#connecting.delete(controller)) return;
      this.#pending.shift()?.fail(error as Error);
      this.#grow();
    }
    this.#settle();
  }

  #adopt(transport: Transport): void {
    const { timeouts, copies } = netHost();
    const { idleMs, lifetimeMs } = this.#settings;
    const connection = new ClientConnection(transport, {
      owner: this,
      limits: this.#settings,
      idleMs,
      lifetimeMs,
      timeouts,
      copies,
    });
    this.#connections.add(connection);
    this.connectionFree(connection);
  }

  async #connect(signal: AbortSignal): Promise<Transport> {
    const { connectAttemptsMax, resolver, socketPath, tls } = this.#settings;
    for (let attempt = 1; ; attempt++) {
      try {
        return await openTransport(this.#target, { resolver, socketPath, tls, signal });
      } catch (error) {
        const { code } = error as { readonly code?: string };
        if (signal.aborted || attempt === connectAttemptsMax || !PASSING.has(code ?? "")) throw error;
      }
      await delay(Math.min(RETRY_MS_MAX, RETRY_MS << Math.min(attempt - 1, 10)), undefined, { signal });
    }
  }

  #stop(controller: AbortController): void {
    this.#connecting.delete(controller);
    controller.abort();
  }

  #settle(): void {
    if (this.#connections.size + this.#connecting.size + this.#pending.length === 0) this.#owner.poolEmpty(this);
  }
}
