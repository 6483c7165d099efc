/** The opening handshake as a server sees it: RFC 6455, sections 4.2.1 and 4.2.2. */
import { createHash } from "node:crypto";

/** RFC 6455, section 1.3. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** The only version there is. */
export const WEB_SOCKET_VERSION = "13";
/** Sixteen bytes in base64. */
const KEY_FORM = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
/** RFC 9110, section 5.6.2. */
export const TOKEN_FORM = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A request's fields that the handshake looks at. */
export interface HandshakeRequest {
  readonly method: string;
  readonly isHttp10: boolean;
  /** A header's value, lines of one name joined with commas. */
  header(name: string): string | undefined;
}

/** What is wrong with a handshake: the status to refuse it with, and why. */
export interface HandshakeProblem {
  readonly status: 400 | 426;
  readonly why: string;
}

/** What is wrong with a request to open a WebSocket; undefined if nothing is. */
export function handshakeProblem(request: HandshakeRequest): HandshakeProblem | undefined {
  const upgrade = request.header("upgrade");
  if (request.method !== "GET" || request.isHttp10 || !hasToken(upgrade, "websocket"))
    return { status: 426, why: "This path speaks WebSocket" };
  if (!hasToken(request.header("connection"), "upgrade"))
    return { status: 400, why: "The Connection field does not say upgrade" };
  if (request.header("sec-websocket-version") !== WEB_SOCKET_VERSION)
    return { status: 426, why: `The version of WebSocket is not ${WEB_SOCKET_VERSION}` };
  const key = request.header("sec-websocket-key");
  if (key === undefined || !KEY_FORM.test(key)) return { status: 400, why: "The Sec-WebSocket-Key is not 16 bytes" };
  return undefined;
}

/** The value of Sec-WebSocket-Accept for a key. */
export function acceptKey(key: string): string {
  return createHash("sha1")
    .update(key + KEY_SUFFIX)
    .digest("base64");
}

/** The subprotocols that a client offers, in its order. Undefined where the field is malformed. */
export function offeredProtocols(field: string | undefined): string[] | undefined {
  if (field === undefined) return [];
  const names = field.split(",").map((name) => name.trim());
  return names.every((name) => TOKEN_FORM.test(name)) && new Set(names).size === names.length ? names : undefined;
}

/** Whether a field that is a list of names has this one, whatever their case. */
export function hasToken(field: string | undefined, token: string): boolean {
  return (field ?? "").split(",").some((item) => item.trim().toLowerCase() === token);
}
