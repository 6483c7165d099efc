/** A debugger that attaches to a process and to its worker threads, as VS Code and Chrome do: the DevTools protocol over a WebSocket. */
import { WebSocket } from "undici";
import { Signal } from "./signal.js";

/** One message of the protocol. */
export interface CdpMessage {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** A worker thread, seen from its debugger. */
export class ThreadSession {
  readonly events: CdpMessage[] = [];
  readonly url: string;
  readonly #send: (message: CdpMessage) => void;
  readonly #signal = new Signal();
  readonly #answers = new Map<number, CdpMessage>();
  #lastId = 0;
  isDetached = false;

  constructor(url: string, send: (message: CdpMessage) => void) {
    this.url = url;
    this.#send = send;
  }

  async call(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId;
    this.#send({ id, method, params });
    await this.#signal.until(`the answer to ${method}`, () => this.#answers.has(id));
    const answer = this.#answers.get(id);
    if (answer?.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer?.result ?? {};
  }

  /** The first event of that name that has not been taken yet. */
  async event(method: string): Promise<Readonly<Record<string, unknown>>> {
    await this.#signal.until(method, () => this.events.some((event) => event.method === method));
    const at = this.events.findIndex((event) => event.method === method);
    const [event] = this.events.splice(at, 1);
    return event?.params ?? {};
  }

  receive(message: CdpMessage): void {
    if (message.id === undefined) this.events.push(message);
    else this.#answers.set(message.id, message);
    this.#signal.notify();
  }
}

/** The connection to a process: its main thread, and a session for each of its workers. */
export class Debugger {
  readonly main: ThreadSession;
  readonly threads: ThreadSession[] = [];
  readonly #socket: WebSocket;
  readonly #signal = new Signal();
  readonly #bySession = new Map<string, ThreadSession>();

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.main = new ThreadSession("main", (message) => socket.send(JSON.stringify(message)));
    socket.addEventListener("message", (event) => this.#receive(JSON.parse(String(event.data)) as CdpMessage));
  }

  /** Attaches to the address that Node printed (`ws://…`). */
  static async attach(url: string): Promise<Debugger> {
    const socket = new WebSocket(url);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve());
      socket.addEventListener("error", () => reject(new Error(`No debugger at ${url}`)));
    });
    return new Debugger(socket);
  }

  /** The session of the worker with that number, counted in the order in which they appeared. */
  async thread(index: number): Promise<ThreadSession> {
    await this.#signal.until(`worker thread ${index}`, () => this.threads.length > index);
    const session = this.threads[index];
    if (session === undefined) throw new Error("It was there a moment ago");
    return session;
  }

  close(): void {
    this.#socket.close();
  }

  #receive(message: CdpMessage): void {
    const { method, params = {} } = message;
    const id = String(params.sessionId);
    if (method === "NodeWorker.attachedToWorker") {
      const info = params.workerInfo as { readonly url: string };
      const session = new ThreadSession(info.url, (inner) => {
        void this.main.call("NodeWorker.sendMessageToWorker", { sessionId: id, message: JSON.stringify(inner) });
      });
      this.#bySession.set(id, session);
      // Node 20 runs loader hooks on a thread of its own, which debuggers let go on.
      if (info.url.startsWith("node:")) void session.call("Runtime.runIfWaitingForDebugger");
      else this.threads.push(session);
      this.#signal.notify();
    } else if (method === "NodeWorker.receivedMessageFromWorker") {
      this.#bySession.get(id)?.receive(JSON.parse(String(params.message)) as CdpMessage);
    } else if (method === "NodeWorker.detachedFromWorker") {
      const session = this.#bySession.get(id);
      if (session !== undefined) session.isDetached = true;
    } else {
      this.main.receive(message);
    }
  }
}
