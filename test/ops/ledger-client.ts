/**
 * Clients that keep a ledger of each request: sent, answered with its own id, failed, hung. Some keep their connection for as long as the server
 * lets them, some open one for each request. Nothing is tried a second time: what the server loses stays lost.
 */
import { connect, type Socket } from "node:net";
import { Signal } from "../support/signal.js";

/** Without an answer for so long a request counts as hung, in milliseconds. */
const HUNG_MS = 10_000;

/** A request that was not answered. */
export interface Failure {
  readonly id: string;
  readonly what: string;
  /** Who had answered on that connection before: `shard/generation`; undefined when nobody had. */
  readonly server: string | undefined;
  readonly atMs: number;
}

export interface LedgerOptions {
  readonly port: number;
  /** Clients that keep their connection. */
  readonly keeping: number;
  /** Clients that open a connection for each request. */
  readonly opening: number;
  /** How long a client waits between an answer and its next request, in milliseconds. */
  readonly pauseMs: number;
}

export class LedgerClient {
  sent = 0;
  answered = 0;
  connections = 0;
  /** Answers that carried the id of another request, or none. */
  readonly leaks: string[] = [];
  readonly failures: Failure[] = [];
  readonly hung: string[] = [];
  /** Which threads answered, as `shard/generation`, and how often. */
  readonly servers = new Map<string, number>();
  readonly #options: LedgerOptions;
  readonly #signal = new Signal();
  #isStopping = false;
  #active = 0;
  #nextId = 0;

  constructor(options: LedgerOptions) {
    this.#options = options;
    for (let index = 0; index < options.keeping + options.opening; index++) {
      this.#active += 1;
      this.#open(index < options.keeping);
    }
  }

  /** Resolves when `count` more requests are answered. */
  async more(count: number): Promise<void> {
    const goal = this.answered + count;
    await this.#signal.until(`${count} more answers`, () => this.answered >= goal || this.hung.length > 0);
  }

  /** Lets each client finish the request that it is in; resolves when all have. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#signal.until("all clients to finish", () => this.#active === 0, 2 * HUNG_MS);
  }

  /** Every request is accounted for once. */
  get isBalanced(): boolean {
    return this.sent === this.answered + this.failures.length + this.hung.length;
  }

  #open(keeps: boolean): void {
    const socket = connect(this.#options.port, "127.0.0.1").setNoDelay(true);
    let current: { readonly id: string; readonly timer: NodeJS.Timeout } | undefined;
    let received = "";
    let server: string | undefined;
    let mayKeep = keeps;

    const ask = (): void => {
      // Closed while it was idle: nothing was asked on it, and its "close" opens another one.
      if (socket.destroyed || socket.readableEnded) return;
      if (this.#isStopping) return void socket.end();
      const id = `r${this.#nextId++}`;
      received = "";
      this.sent += 1;
      current = { id, timer: setTimeout(() => this.#hang(socket, id), HUNG_MS) };
      socket.write(`GET /context/${id} HTTP/1.1\r\nhost: test\r\n${keeps ? "" : "connection: close\r\n"}\r\n`);
    };
    const settle = (): string | undefined => {
      clearTimeout(current?.timer);
      const id = current?.id;
      current = undefined;
      return id;
    };
    const fail = (what: string): void => {
      const id = settle();
      if (id === undefined || this.hung.includes(id)) return;
      this.failures.push({ id, what, server, atMs: performance.now() });
    };

    socket.on("connect", () => {
      this.connections += 1;
      ask();
    });
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      const body = wholeBody(received);
      if (body === undefined) return;
      server = this.#answer(settle() ?? "nothing", received, body);
      mayKeep = keeps && !/\r\nconnection: close\r\n/i.test(received);
      if (!mayKeep) socket.end();
      // One turn later, so that an end which has already arrived is seen before the next request is written.
      else setTimeout(() => setImmediate(ask), this.#options.pauseMs);
    });
    socket.on("end", () => fail("closed before the answer"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // A refused connection is a failure of the request that it was opened for.
      if (current === undefined && error.syscall === "connect") {
        this.sent += 1;
        this.failures.push({
          id: `r${this.#nextId++}`,
          what: `connect: ${error.code}`,
          server,
          atMs: performance.now(),
        });
      } else {
        fail(error.code ?? error.message);
      }
    });
    socket.on("close", () => {
      fail("closed before the answer");
      if (this.#isStopping) this.#active -= 1;
      else setTimeout(() => this.#open(keeps), this.#options.pauseMs);
      this.#signal.notify();
    });
  }

  /** Compares an answer with its request; returns who gave it. */
  #answer(id: string, text: string, body: string): string {
    const [found = "", shard, generation] = body.split(" ");
    this.answered += 1;
    if (found !== id || !text.startsWith("HTTP/1.1 200 ")) this.leaks.push(`${id} was answered: ${text}`);
    const server = `${shard}/${generation}`;
    this.servers.set(server, (this.servers.get(server) ?? 0) + 1);
    this.#signal.notify();
    return server;
  }

  #hang(socket: Socket, id: string): void {
    this.hung.push(id);
    this.#signal.notify();
    socket.destroy();
  }
}

/** The body of a whole answer. */
function wholeBody(text: string): string | undefined {
  const head = text.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1];
  if (head < 0 || length === undefined || text.length < head + 4 + Number(length)) return undefined;
  return text.slice(head + 4);
}
