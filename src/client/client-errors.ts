/** The errors of a client, in one place: what failed, of which request. */
import { RingloomError } from "../errors.js";

/** What an error says of its request. */
export interface RequestName {
  readonly method: string;
  readonly url: string;
}

/** The phases of a request that have a time limit. */
export type Phase = "connect" | "headers" | "body" | "total";

const WHAT_TOOK_LONG: Readonly<Record<Phase, string>> = {
  connect: "there was no connection",
  headers: "no response came",
  body: "nothing more of the body came, or nobody read it",
  total: "it was not over",
};

/** A phase took too long. */
export function timedOut(request: RequestName, phase: Phase, timeoutMs: number): RingloomError {
  const text = `Cannot request ${request.url}: ${WHAT_TOOK_LONG[phase]} for ${timeoutMs} ms`;
  return failed("ERR_RINGLOOM_TIMEOUT", request, text, { details: { phase, timeoutMs } });
}

/** The caller's signal was aborted. */
export function aborted(request: RequestName, cause: unknown): RingloomError {
  return failed("ERR_RINGLOOM_ABORTED", request, `Cannot request ${request.url}: it was given up`, { cause });
}

/** The client takes no more requests. */
export function clientClosed(request: RequestName): RingloomError {
  return failed("ERR_RINGLOOM_CLOSED", request, `Cannot request ${request.url}: the client is closed`);
}

/** As many requests wait for a connection as may. */
export function tooManyPending(request: RequestName, pendingMax: number): RingloomError {
  return failed(
    "ERR_RINGLOOM_OVERLOADED",
    request,
    `Cannot request ${request.url}: ${pendingMax} requests to its server wait for a connection already`,
    { details: { pendingMax } },
  );
}

/** The connection went away before the answer was whole. */
export function cutShort(request: RequestName, hasHead: boolean, cause: unknown): RingloomError {
  const code = (cause as { readonly code?: unknown } | undefined)?.code;
  const isKernel = typeof code === "string" && !code.startsWith("ERR_RINGLOOM_");
  const part = hasHead ? "before the body was whole" : "before it had answered";
  return failed(
    isKernel ? code : "ERR_RINGLOOM_UNEXPECTED_END",
    request,
    `Cannot request ${request.url}: the connection ended ${part}`,
    { cause },
  );
}

/** The body is larger than its reader takes. */
export function bodyTooLarge(request: RequestName, bytesMax: number): RingloomError {
  return failed(
    "ERR_RINGLOOM_BODY_TOO_LARGE",
    request,
    `Cannot read the body of ${request.url}: it has more than ${bytesMax} bytes`,
    { details: { bytesMax } },
  );
}

/** The body was read before. */
export function bodyUsed(request: RequestName): RingloomError {
  return failed("ERR_RINGLOOM_BODY_USED", request, `Cannot read the body of ${request.url}: it has a reader already`);
}

/** Another error of a request. */
export function failed(
  code: string,
  { method, url }: RequestName,
  message: string,
  more: { readonly details?: Readonly<Record<string, unknown>>; readonly cause?: unknown } = {},
): RingloomError {
  return new RingloomError(code, message, {
    operation: "request",
    details: { method, url, ...more.details },
    cause: more.cause,
  });
}
