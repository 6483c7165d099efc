/** One member of a room: what survives the loss of its connection. */
import { randomBytes } from "node:crypto";
import { RingloomError } from "../errors.js";
import { CLOSE } from "./protocol.js";
import type { Member } from "./room.js";

const TOKEN_BYTES = 16;
const REMOVE_CODE_MIN = 4000;
const REMOVE_CODE_MAX = 4999;
const REASON_BYTES_MAX = 123;

/** A member's connection: which gateway has it, and its name there. */
export interface SessionConnection {
  readonly gateway: string;
  readonly connection: string;
}

/** What a session asks of its room. */
export interface SessionHost {
  sendTo(session: Session, event: unknown): void;
  remove(session: Session, code: number, reason: string): void;
}

/** See the top of the file. */
export class Session implements Member {
  readonly id: string;
  readonly data: unknown;
  readonly #token = randomBytes(TOKEN_BYTES).toString("base64url");
  readonly #host: SessionHost;
  connection: SessionConnection | undefined;
  /** The last of its messages that was handled. */
  handled = 0;
  /** The last event that was for it. */
  lastEvent: number;
  /** The last event that it says it has seen. */
  seen: number;
  disconnectedMs = 0;
  hasLeft = false;

  constructor(host: SessionHost, start: { readonly id: string; readonly data: unknown; readonly event: number }) {
    this.#host = host;
    this.id = start.id;
    this.data = start.data;
    this.lastEvent = start.event;
    this.seen = start.event;
  }

  get isConnected(): boolean {
    return this.connection !== undefined;
  }

  /** The secret by which its client is known. Where a program logs or broadcasts a member, it does not go along. */
  get token(): string {
    return this.#token;
  }

  toJSON(): { readonly id: string; readonly data: unknown } {
    return { id: this.id, data: this.data };
  }

  send(event: unknown): void {
    this.#host.sendTo(this, event);
  }

  remove(code: number = CLOSE.removed, reason = ""): void {
    if (!(Number.isInteger(code) && code >= REMOVE_CODE_MIN && code <= REMOVE_CODE_MAX))
      throw new RangeError(`Cannot remove a member with code ${String(code)}: 4000 to 4999 are allowed`);
    if (Buffer.byteLength(reason) > REASON_BYTES_MAX)
      throw new RangeError(`Cannot remove a member: the reason is longer than ${REASON_BYTES_MAX} bytes`);
    this.#host.remove(this, code, reason);
  }
}

/** The JSON of an event or a state. Throws TypeError for what has none, and `ERR_RINGLOOM_TOO_LARGE`. */
export function jsonOf(operation: string, value: unknown, bytesMax: number): string {
  const json: unknown = JSON.stringify(value);
  if (typeof json !== "string") throw new TypeError(`Cannot ${operation}: ${typeof value} has no JSON`);
  if (json.length * 3 > bytesMax && Buffer.byteLength(json) > bytesMax) {
    throw new RingloomError(
      "ERR_RINGLOOM_TOO_LARGE",
      `Cannot ${operation}: it has ${Buffer.byteLength(json)} bytes as JSON, and ${bytesMax} are allowed.`,
      { operation, details: { bytesMax } },
    );
  }
  return json;
}
