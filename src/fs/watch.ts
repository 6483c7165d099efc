/** Changes of files and directories, from Node's own watcher. */
import { type FSWatcher, watch as nodeWatch } from "node:fs";
import { type Call, nodeFailure, throwIfGivenUp } from "./call.js";
import { type FileName, toNodePath, toText } from "./file-name.js";

/**
 * What {@link watch} watches.
 * @experimental
 */
export interface WatchOptions {
  /** Ends the watch: the loop is left. */
  readonly signal?: AbortSignal;
  /** Also what is below the directories in it. Default false. */
  readonly recursive?: boolean;
  /** Changes that may wait for the loop. Those that come when it is full are dropped, and one `overflow` says so. Default 1,024. */
  readonly waitingMax?: number;
}

/**
 * A change. `rename`: a name came, went or was given to another file. `change`: a file's contents or properties. `overflow`: changes were dropped, so look for yourself.
 * @experimental
 */
export interface WatchEvent {
  readonly kind: "change" | "rename" | "overflow";
  /** Of what is in the watched directory; undefined where the system does not say. */
  readonly name: string | undefined;
}

const WAITING_MAX_DEFAULT = 1024;

/**
 * Changes of a file or of what is in a directory, until the loop is left or `signal` is aborted, which ends it. The watch begins with the call of `next`. As inotify counts them: one write can be several changes.
 * @throws RingloomError the kernel's code (`ENOENT`, `ENOSPC` when the user has no watches left).
 * @experimental
 */
export function watch(name: FileName, options: WatchOptions = {}): AsyncGenerator<WatchEvent, void, void> {
  const leaving = new AbortController();
  const generator = changesOf(name, options, leaving.signal);
  const leave = generator.return.bind(generator);
  // A generator leaves only when its `next` is over, and that may wait for a change that never comes.
  generator.return = (value) => {
    leaving.abort();
    return leave(value);
  };
  return generator;
}

async function* changesOf(
  name: FileName,
  options: WatchOptions,
  left: AbortSignal,
): AsyncGenerator<WatchEvent, void, void> {
  const { signal } = options;
  const call: Call = { operation: "watch", details: { path: toText(name) }, options: { signal } };
  throwIfGivenUp(call);
  const changes = new Changes(name, options, call);
  const wake = (): void => changes.wake();
  signal?.addEventListener("abort", wake);
  left.addEventListener("abort", wake);
  try {
    while (signal?.aborted !== true && !left.aborted) {
      const event = changes.take();
      if (event === undefined) await changes.more();
      else yield event;
    }
  } finally {
    signal?.removeEventListener("abort", wake);
    changes.close();
  }
}

/** What a watcher has told and nobody has taken. */
class Changes {
  readonly #waiting: WatchEvent[] = [];
  readonly #watcher: FSWatcher;
  readonly #call: Call;
  #failure: { readonly error: unknown } | undefined;
  #notify: (() => void) | undefined;

  constructor(name: FileName, { recursive = false, waitingMax = WAITING_MAX_DEFAULT }: WatchOptions, call: Call) {
    if (!Number.isInteger(waitingMax) || waitingMax < 1) throw new RangeError(`Cannot keep ${waitingMax} changes`);
    this.#call = call;
    this.#watcher = start(name, recursive, call);
    this.#watcher.on("change", (kind: "change" | "rename", changed: string | Buffer | null) => {
      if (this.#waiting.length < waitingMax) this.#waiting.push({ kind, name: changed?.toString() });
      else if (this.#waiting.length === waitingMax) this.#waiting.push({ kind: "overflow", name: undefined });
      this.wake();
    });
    this.#watcher.on("error", (error) => {
      this.#failure = { error: nodeFailure(this.#call, error) };
      this.wake();
    });
  }

  /** The next change; throws what ended the watch. */
  take(): WatchEvent | undefined {
    const event = this.#waiting.shift();
    if (event === undefined && this.#failure !== undefined) throw this.#failure.error;
    return event;
  }

  more(): Promise<void> {
    return new Promise((resolve) => {
      this.#notify = resolve;
    });
  }

  wake(): void {
    this.#notify?.();
  }

  close(): void {
    this.#watcher.close();
  }
}

function start(name: FileName, recursive: boolean, call: Call): FSWatcher {
  try {
    return nodeWatch(toNodePath(name), { recursive });
  } catch (error) {
    throw nodeFailure(call, error);
  }
}
