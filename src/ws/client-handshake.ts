/** The opening handshake of a client: RFC 6455, sections 3, 4.1 and 4.2.2. */
import { randomBytes } from "node:crypto";
import { RingloomError } from "../errors.js";
import type { ConnectTarget } from "../net/index.js";
import type { CompressionSettings } from "./compression-options.js";
import { type DeflateAgreement, deflateAnswer, deflateOffer } from "./deflate-agreement.js";
import { acceptKey, hasToken, TOKEN_FORM, WEB_SOCKET_VERSION } from "./handshake.js";

/** Bytes of the answer's head, at most. */
export const ANSWER_BYTES_MAX = 16 * 1024;

const PORT = 80;
const TLS_PORT = 443;
/** What the handshake itself says. */
const OWN_FIELDS = new Set(["connection", "upgrade", "content-length", "transfer-encoding"]);
const OWN_PREFIX = "sec-websocket-";
/** RFC 9110, section 5.5: no control characters but tabs. What is not Latin-1 cannot be written. */
const VALUE_FORM = /^[\t\x20-\x7e\x80-\xff]*$/;
const STATUS_LINE = /^HTTP\/1\.1 (\d{3})(?: |$)/;
/** The value is trimmed afterwards: a pattern that does so takes cubic time for a long line that it does not match. */
const FIELD_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)$/;

/** Whom a client asks, and for what. */
export interface WebSocketAddress {
  readonly target: ConnectTarget;
  /** Whether the URL asks for TLS. */
  readonly isTls: boolean;
  /** The name or address of the URL: what a certificate has to be for. */
  readonly host: string;
  /** The value of Host. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** User and password of the URL, as a value of Authorization. */
  readonly authorization: string | undefined;
}

/** What a client asks for. */
export interface HandshakeWishes {
  readonly protocols: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: CompressionSettings | undefined;
}

/** What has been agreed on. */
export interface ClientAgreement {
  readonly protocol: string;
  readonly deflate: DeflateAgreement | undefined;
}

/**
 * Reads a URL; `socketPath` is the Unix socket to ask in its place.
 *
 * @throws TypeError for what is no URL of a WebSocket
 */
export function addressOf(url: string | URL, socketPath: string | undefined): WebSocketAddress {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new TypeError(`Cannot open a WebSocket: ${String(url)} is no URL`, { cause });
  }
  const { protocol, hostname, port, pathname, search, username, password } = parsed;
  const isTls = protocol === "wss:" || protocol === "https:";
  if (!isTls && protocol !== "ws:" && protocol !== "http:")
    throw new TypeError(`Cannot open a WebSocket: ${protocol} is neither ws: nor wss:`);
  if (parsed.hash !== "") throw new TypeError("Cannot open a WebSocket: its URL has a fragment");
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const host = hostname.replace(/^\[|\]$/g, "");
  const defaultPort = isTls ? TLS_PORT : PORT;
  return {
    target: socketPath === undefined ? { host, port: port === "" ? defaultPort : Number(port) } : { path: socketPath },
    isTls,
    host,
    authority: parsed.host,
    path: pathname + search,
    authorization: credentials === ":" ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`,
  };
}

/** One handshake: a request, and what its answer has to be. */
export class ClientHandshake {
  /** The request, as it is sent. */
  readonly request: string;
  readonly #key = randomBytes(16).toString("base64");
  readonly #wishes: HandshakeWishes;
  readonly #url: string;

  /** Throws TypeError for subprotocols and header fields that cannot be sent. */
  constructor(address: WebSocketAddress, wishes: HandshakeWishes) {
    this.#wishes = wishes;
    this.#url = `${address.isTls ? "wss" : "ws"}://${address.authority}${address.path}`;
    checkWishes(wishes);
    const lines = [`GET ${address.path} HTTP/1.1`];
    const names = Object.keys(wishes.headers).map((name) => name.toLowerCase());
    if (!names.includes("host")) lines.push(`Host: ${address.authority}`);
    if (address.authorization !== undefined && !names.includes("authorization"))
      lines.push(`Authorization: ${address.authorization}`);
    lines.push("Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Version: ${WEB_SOCKET_VERSION}`);
    lines.push(`Sec-WebSocket-Key: ${this.#key}`);
    if (wishes.protocols.length > 0) lines.push(`Sec-WebSocket-Protocol: ${wishes.protocols.join(", ")}`);
    if (wishes.compression !== undefined) lines.push(`Sec-WebSocket-Extensions: ${deflateOffer(wishes.compression)}`);
    for (const [name, value] of Object.entries(wishes.headers)) lines.push(`${name}: ${value}`);
    this.request = `${lines.join("\r\n")}\r\n\r\n`;
  }

  /** What the head of an answer agrees to. Throws `ERR_RINGLOOM_HANDSHAKE_FAILED` where it does not. */
  agreement(head: string): ClientAgreement {
    const [statusLine = "", ...fieldLines] = head.split("\r\n");
    const status = Number(STATUS_LINE.exec(statusLine)?.[1] ?? "0");
    if (status === 0) throw this.failure("the answer is not HTTP/1.1");
    const fields = readFields(fieldLines);
    if (fields === undefined) throw this.failure("the answer has a malformed field", { status });
    if (status !== 101)
      throw this.failure(`the server answers ${statusLine.slice(9)}`, { status, headers: Object.fromEntries(fields) });
    if (!hasToken(fields.get("upgrade"), "websocket") || !hasToken(fields.get("connection"), "upgrade"))
      throw this.failure("the server upgrades to something else", { status });
    if (fields.get("sec-websocket-accept") !== acceptKey(this.#key))
      throw this.failure("the Sec-WebSocket-Accept is not that of the key", { status });
    const { protocols, compression } = this.#wishes;
    const protocol = fields.get("sec-websocket-protocol");
    if (protocol !== undefined && !protocols.includes(protocol))
      throw this.failure(`the subprotocol ${protocol} was not offered`, { status });
    if (protocol === undefined && protocols.length > 0)
      throw this.failure(`the server speaks none of the subprotocols ${protocols.join(", ")}`, { status });
    const deflate = deflateAnswer(fields.get("sec-websocket-extensions"), compression);
    if (typeof deflate === "string") throw this.failure(deflate, { status });
    return { protocol: protocol ?? "", deflate };
  }

  /** The error of a handshake that fails. */
  failure(why: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown): RingloomError {
    return new RingloomError("ERR_RINGLOOM_HANDSHAKE_FAILED", `Cannot open a WebSocket to ${this.#url}: ${why}`, {
      operation: "open a WebSocket",
      details: { url: this.#url, ...details },
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

function checkWishes({ protocols, headers }: HandshakeWishes): void {
  for (const name of protocols) {
    if (!TOKEN_FORM.test(name)) throw new TypeError(`Cannot open a WebSocket: ${JSON.stringify(name)} is no protocol`);
  }
  if (new Set(protocols).size !== protocols.length)
    throw new TypeError("Cannot open a WebSocket: a subprotocol is offered twice");
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (!TOKEN_FORM.test(name))
      throw new TypeError(`Cannot open a WebSocket: ${JSON.stringify(name)} is no field name`);
    if (OWN_FIELDS.has(lower) || lower.startsWith(OWN_PREFIX))
      throw new TypeError(`Cannot open a WebSocket: the field ${name} is the handshake's own`);
    if (typeof value !== "string" || !VALUE_FORM.test(value))
      throw new TypeError(`Cannot open a WebSocket: the value of ${name} cannot be sent`);
  }
}

/** Fields by their names in lower case, lines of one name joined; undefined where a line is none. */
function readFields(lines: readonly string[]): Map<string, string> | undefined {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const found = FIELD_LINE.exec(line);
    if (found === null) return undefined;
    const name = found[1]!.toLowerCase();
    const before = fields.get(name);
    const value = found[2]!.trim();
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}
