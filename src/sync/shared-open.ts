/**
 * How a thread opens a structure that threads share: by its name, at the desk of its server, once. Then it listens for the structure's bell in its event loop until it ends.
 *
 * A thread that waits keeps its event loop alive, as a port with a listener does: what it waits for comes from another thread. That also keeps a thread for tasks from falling asleep where it would not hear the bell.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { WAITING_MAX_DEFAULT } from "../constants.js";
import { RingloomError } from "../errors.js";
import { sendToDesk } from "../keyed/desk-line.js";
import { gatheringOf, type StructureAnswer, type StructureShape } from "../keyed/structure-desk.js";
import { runIsolated } from "../runtime/isolated.js";
import { rejectUnknownOptions } from "../runtime/option.js";
import { LoopBell } from "../scheduler/loop-bell.js";
import { bellWord } from "../shared/gathering.js";
import { SharedWords } from "../shared/words.js";
import { invalidArgument } from "../task/wait-errors.js";

/** How long a thread waits for the main thread to answer, in milliseconds. */
const OPEN_MS_MAX = 10_000;

/**
 * What each shared structure can be told.
 * @experimental
 */
export interface SharedOptions {
  /** Callers of one thread that may wait for it at once; one more is refused with `ERR_RINGLOOM_OVERLOADED`. Default 65,536. */
  readonly waitingMax?: number;
}

/** What to open. */
export interface SharedRequest {
  /** What the function of the users is called: `sharedMutex`. */
  readonly operation: string;
  readonly name: string;
  readonly structure: StructureShape;
  readonly waitingMax: number;
  /** Of a channel. */
  readonly waitingBytesMax?: number;
}

/** A structure that is open on this thread. */
export class SharedPlace {
  readonly memory: SharedArrayBuffer;
  readonly words: SharedWords;
  /** The thread's number in this structure. */
  readonly self: number;
  readonly #port: MessagePort;
  readonly #bell: LoopBell;
  #isHeld = false;

  constructor(
    memory: SharedArrayBuffer,
    self: number,
    { structure, port }: { structure: StructureShape; port: MessagePort },
  ) {
    this.memory = memory;
    this.words = new SharedWords(memory);
    this.self = self;
    this.#port = port;
    const byteOffset = bellWord(gatheringOf(structure), self) * Int32Array.BYTES_PER_ELEMENT;
    this.#bell = new LoopBell({ kind: "atomics", buffer: memory, byteOffset });
  }

  /** Calls `look` whenever this thread is rung, for as long as it lives; so not in the async context of who happened to open it, which would be kept as long. */
  listen(look: () => void): void {
    void runIsolated("RINGLOOM_SHARED", () => this.#listen(look));
  }

  async #listen(look: () => void): Promise<never> {
    for (;;) {
      await this.#bell.next();
      look();
    }
  }

  /** Whether the thread must stay awake for the bell. */
  hold(isHeld: boolean): void {
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.#port.ref();
    else this.#port.unref();
  }
}

interface Opened<Shared> {
  readonly shared: Shared;
  readonly request: SharedRequest;
}

const opened = new Map<string, Opened<unknown>>();

/** The structure of that kind and name: the one that this thread has, or a new one. */
export function openShared<Shared>(request: SharedRequest, make: (place: SharedPlace) => Shared): Shared {
  const { operation, name, structure } = request;
  if (typeof name !== "string" || name === "") throw invalidArgument(operation, "its name is no text");
  checkInteger(operation, "waitingMax", request.waitingMax, [0, Number.MAX_SAFE_INTEGER]);
  const key = `${operation} ${name}`;
  const known = opened.get(key);
  if (known !== undefined) {
    if (JSON.stringify(known.request) !== JSON.stringify(request)) throw differs(request, known.request.structure);
    // The cast is safe as long as a name has one meaning; its kind is part of the key.
    return known.shared as Shared;
  }
  const { port1, port2 } = new MessageChannel();
  const bell = new Int32Array(new SharedArrayBuffer(4));
  sendToDesk(operation, { want: "structure", port: port2, ask: { name: key, structure, bell } });
  Atomics.wait(bell, 0, 0, OPEN_MS_MAX);
  const answer = receiveMessageOnPort(port1)?.message as StructureAnswer | undefined;
  port1.unref();
  if (answer === undefined || !("memory" in answer)) {
    port1.close();
    throw refused(request, answer);
  }
  const shared = make(new SharedPlace(answer.memory, answer.thread, { structure, port: port1 }));
  opened.set(key, { shared, request });
  return shared;
}

/** The bound of those that wait, with its default. Throws for options that there are not; `others` are those besides. */
export function waitingMaxOf(options: SharedOptions, others: readonly string[] = []): number {
  rejectUnknownOptions(options, ["waitingMax", ...others]);
  return options.waitingMax ?? WAITING_MAX_DEFAULT;
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` unless the value is a whole number within the bounds. */
export function checkInteger(
  operation: string,
  option: string,
  value: number,
  [least, most]: readonly [number, number],
): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw invalidArgument(operation, `${option} is ${String(value)}, not a whole number from ${least} to ${most}`);
}

function refused(
  request: SharedRequest,
  answer: Exclude<StructureAnswer, { memory: unknown }> | undefined,
): RingloomError {
  const { operation, name } = request;
  const options = { operation, details: { name } };
  const what = `Cannot open ${operation} ${JSON.stringify(name)}`;
  if (answer === undefined)
    return new RingloomError("ERR_RINGLOOM_TIMEOUT", `${what}: the main thread did not answer.`, options);
  if ("differs" in answer) return differs(request, answer.differs);
  if ("refused" in answer) return new RingloomError("ERR_RINGLOOM_OVERLOADED", `${what}: ${answer.refused}.`, options);
  const why = answer.full === "threads" ? `${answer.max} threads use it` : `there are ${answer.max} shared structures`;
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `${what}: ${why} already.`, options);
}

function differs({ operation, name, structure }: SharedRequest, other: StructureShape): RingloomError {
  const describe = ({ kind, shape, extraBytes }: StructureShape): string => {
    switch (kind) {
      case "permits":
        return `${shape.permits} permits`;
      case "barrier":
        return `${shape.parties} parties`;
      case "ring":
        return `capacity ${shape.capacity} in ${extraBytes} bytes`;
      case "rates":
        return `a permit each ${shape.intervalMs} ms, a burst of ${shape.burst} and ${shape.keys} keys`;
    }
  };
  const [here, there] = [describe(structure), describe(other)];
  const why =
    here === there ? "it is open here with other bounds of those that wait" : `it exists with ${there}, not ${here}`;
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot open ${operation} ${JSON.stringify(name)}: ${why}.`, {
    operation,
    details: { name },
  });
}
