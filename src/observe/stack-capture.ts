/**
 * Asks threads of this process where their JavaScript is, from outside, while they do not answer. The inspector can: a session on the
 * main thread attaches to every worker thread when that starts, and costs nothing until a message is sent through it.
 *
 * Two rules keep the process alive (node::inspector aborts it when a message reaches a thread that is being taken apart; found by a test
 * that did). A request is sent only to a thread that seems blocked, once. And a paused thread is sent exactly one message, the one
 * that lets it go: a second one could arrive when it has already ended.
 */
import { readFileSync } from "node:fs";
import type { Session } from "node:inspector";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";

/** One frame, for people: `handle (file:///app/orders.js:10:5)`. */
export type StackFrame = string;

/** Told where a thread was when it paused, some time after {@link StackCapture.request}. */
export type StackSeen = (title: string, frames: readonly StackFrame[]) => void;

const FRAMES_MAX = 12;

interface Script {
  readonly url: string;
  readonly sourceMapUrl: string;
}

/** What the inspector tells of a frame: Debugger.CallFrame of the Chrome DevTools Protocol. Lines and columns count from 0. */
interface CallFrame {
  readonly functionName: string;
  readonly location: { readonly scriptId: string; readonly lineNumber: number; readonly columnNumber?: number };
}

interface FromThread {
  readonly method?: string;
  readonly params?: {
    readonly scriptId?: string;
    readonly url?: string;
    readonly sourceMapURL?: string;
    readonly callFrames?: readonly CallFrame[];
  };
}

interface AttachedThread {
  /** `[worker 3] name`, where 3 is the thread id. */
  readonly title: string;
  readonly session: string;
  readonly scripts: Map<string, Script>;
  isAsked: boolean;
}

/** The inspector's sessions with the threads that this thread starts from now on. */
export class StackCapture {
  readonly #session: Session;
  readonly #debuggerUrl: () => string | undefined;
  readonly #seen: StackSeen;
  readonly #threads = new Map<string, AttachedThread>();
  #messages = 0;

  private constructor(inspector: typeof import("node:inspector"), seen: StackSeen) {
    this.#seen = seen;
    this.#debuggerUrl = () => inspector.url();
    this.#session = new inspector.Session();
    this.#session.connect();
    // The types know only the main thread's domains; these are of Node's own (lib/internal/inspector, node_protocol.pdl).
    this.#session.on("NodeWorker.attachedToWorker", ({ params }) => {
      const { sessionId, workerInfo } = params;
      this.#threads.set(sessionId, { title: workerInfo.title, session: sessionId, scripts: new Map(), isAsked: false });
    });
    this.#session.on("NodeWorker.detachedFromWorker", ({ params }) => void this.#threads.delete(params.sessionId));
    this.#session.on("NodeWorker.receivedMessageFromWorker", ({ params }) => this.#onMessage(params));
    this.#session.post("NodeWorker.enable", { waitForDebuggerOnStart: false });
  }

  /** Undefined where Node was built without the inspector. Call it before the threads are started. */
  static async open(seen: StackSeen): Promise<StackCapture | undefined> {
    try {
      return new StackCapture(await import("node:inspector"), seen);
    } catch {
      return undefined;
    }
  }

  /**
   * Asks the thread of that title to pause at its next JavaScript and say where. Returns false when it cannot be asked: it is not there, or
   * it has been asked and not answered, or a debugger is in use, whose own pauses must not be ended.
   */
  request(title: string): boolean {
    if (this.#debuggerUrl() !== undefined) return false;
    const found = [...this.#threads.values()].find((thread) => thread.title === title);
    if (found === undefined || found.isAsked) return false;
    found.isAsked = true;
    this.#send(found, "Debugger.enable");
    this.#send(found, "Debugger.pause");
    return true;
  }

  /** Lets go of all threads. Only when none of them is ending at this moment, so at the end of a server, when all are gone. */
  close(): void {
    this.#session.disconnect();
  }

  #send(thread: AttachedThread, method: string): void {
    const message = JSON.stringify({ id: ++this.#messages, method });
    // The callback takes the error of a session that is gone.
    this.#session.post("NodeWorker.sendMessageToWorker", { sessionId: thread.session, message }, () => undefined);
  }

  #onMessage({ sessionId, message }: { sessionId: string; message: string }): void {
    const thread = this.#threads.get(sessionId);
    if (thread?.isAsked !== true) return;
    const { method, params } = JSON.parse(message) as FromThread;
    if (method === "Debugger.scriptParsed") {
      thread.scripts.set(params?.scriptId ?? "", { url: params?.url ?? "", sourceMapUrl: params?.sourceMapURL ?? "" });
    } else if (method === "Debugger.paused") {
      // First of all: the thread serves nobody until it is let go, and disabling the debugger does that.
      this.#send(thread, "Debugger.disable");
      thread.isAsked = false;
      const frames = (params?.callFrames ?? []).slice(0, FRAMES_MAX).map((frame) => describe(frame, thread.scripts));
      thread.scripts.clear();
      this.#seen(thread.title, frames);
    }
  }
}

function describe({ functionName, location }: CallFrame, scripts: ReadonlyMap<string, Script>): StackFrame {
  const script = scripts.get(location.scriptId) ?? { url: "", sourceMapUrl: "" };
  const line = location.lineNumber;
  const column = location.columnNumber ?? 0;
  const place = originalPlace(script, line, column) ?? `${script.url}:${line + 1}:${column + 1}`;
  return functionName === "" ? place : `${functionName} (${place})`;
}

/** Where the frame is in the source that a source map names; undefined without a readable one. */
function originalPlace({ url, sourceMapUrl }: Script, line: number, column: number): string | undefined {
  if (sourceMapUrl === "" || !url.startsWith("file:")) return undefined;
  try {
    const map = new SourceMap(JSON.parse(readSourceMap(new URL(sourceMapUrl, url))));
    const entry = map.findEntry(line, column);
    if (!("originalSource" in entry)) return undefined;
    return `${new URL(entry.originalSource, url).href}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  } catch {
    return undefined;
  }
}

function readSourceMap(url: URL): string {
  if (url.protocol === "file:") return readFileSync(fileURLToPath(url), "utf8");
  const [head = "", body = ""] = url.href.split(",", 2);
  return head.endsWith(";base64") ? Buffer.from(body, "base64").toString() : decodeURIComponent(body);
}
