/** Keep-alive clients over plain sockets that account for every request: answered, lost, or never sent because nobody listened. */
import { connect, type Socket } from "node:net";
import { Signal } from "../support/signal.js";

export class Load {
  /** Requests that got a whole answer with the right body. */
  answered = 0;
  /** Requests that were sent on an open connection and got no whole answer: what happened to each. */
  readonly lost: string[] = [];
  /** Answers that were not 200 or had another body than expected. */
  readonly wrong: string[] = [];
  readonly #port: number;
  readonly #signal = new Signal();
  #clientsNow = 0;

  /** Starts `clients` clients. Each asks again and again until a connect is refused. */
  constructor(port: number, clients: number, paths: readonly string[]) {
    this.#port = port;
    this.#clientsNow = clients;
    for (let client = 0; client < clients; client++) this.#open(paths, client);
  }

  /** Resolves when `count` requests are answered. */
  reached(count: number): Promise<void> {
    return this.#signal.until(`${count} answers`, () => this.answered >= count || this.lost.length > 0);
  }

  /** Resolves when every client was refused. */
  finished(): Promise<void> {
    return this.#signal.until("all clients to be refused", () => this.#clientsNow === 0);
  }

  #open(paths: readonly string[], turn: number): void {
    const socket = connect(this.#port, "127.0.0.1");
    let isConnected = false;
    let path = "";
    let received = "";
    let next = turn;
    const ask = () => {
      path = paths[next++ % paths.length] ?? "/";
      received = "";
      socket.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
    };
    socket.setNoDelay(true);
    socket.on("connect", () => {
      isConnected = true;
      ask();
    });
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (!isWhole(received)) return;
      this.#check(received, path);
      path = "";
      if (/\r\nconnection: close\r\n/i.test(received)) socket.end();
      else ask();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => this.#lose(path, error.code ?? error.message));
    socket.on("end", () => this.#lose(path, "end"));
    socket.on("close", () => {
      path = "";
      if (isConnected) this.#open(paths, next);
      else this.#leave();
    });
    unrefLater(socket);
  }

  #check(answer: string, path: string): void {
    this.answered++;
    if (!answer.startsWith("HTTP/1.1 200 ") || !answer.endsWith(`\r\n\r\nat ${path}`)) this.wrong.push(answer);
    this.#signal.notify();
  }

  #lose(path: string, what: string): void {
    if (path === "") return;
    this.lost.push(`${path}: ${what}`);
    this.#signal.notify();
  }

  #leave(): void {
    this.#clientsNow--;
    this.#signal.notify();
  }
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer)?.[1];
  return head >= 0 && length !== undefined && answer.length >= head + 4 + Number(length);
}

/** A client that hangs must not keep the test's process alive after the test has failed. */
function unrefLater(socket: Socket): void {
  setTimeout(() => socket.unref(), 30_000).unref();
}
