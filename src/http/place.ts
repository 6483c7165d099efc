/**
 * `place()`: a route whose requests are handled on the shard that owns their key, whichever shard the connection is on.
 *
 *     connection's shard: head, body ──MessagePort──> owner's shard: server in memory → middleware → handler
 *                         answer    <───────────────  status, headers, body
 *
 * The request is handed over, not its connection: that stays where it was accepted, and its next request may have another key.
 */
import { MessageChannel, type TransferListItem } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import { type ActorSeat, actorSeat } from "../keyed/actor-host.js";
import { ownerOf, type Placement } from "../scheduler/placement.js";
import type { Handler, Middleware } from "./app.js";
import type { Answer, Context, HandlerResult } from "./context.js";
import { FLAG_HAS_BODY } from "./exchange.js";
import { HttpError } from "./http-error.js";
import { answerPlaced, type PlacedAnswer, WHOLE_BYTES_MAX } from "./placed-requests.js";
import { isThenable } from "./values.js";

/**
 * Middleware that lets a route's requests be handled by the shard which owns their key: `sticky(key)`, the shard that the same key's actor lives on, or `pinned(number)`. What comes before it in the route runs on the connection's shard too, what
 * comes after it on the owner's alone. Of a header that both have set, the owner's lines are sent.
 *
 * Bodies flow both ways without being kept whole, and the handler's `c.signal` is aborted when the client goes. Trailers are not passed on, and WebSocket handshakes are refused with 501. When the owner is lost before it has answered, the answer is 503. Where there
 * are no shards, or one, it does nothing.
 *
 * @param select Says where; called on the connection's shard, and again on the owner's. It must give the same for the same request.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, for each request, when `select` gives another placement or a shard that does not exist.
 * @example
 * ```ts
 * import { sticky } from "ringloom";
 * import { App, place } from "ringloom/http";
 * const app = new App();
 * const carts = new Map<string, string[]>(); // each shard has those of its own users, and nobody else has them
 * app.post("/carts/:user", place((c) => sticky(c.param("user"))), async (c) => {
 *   const cart = carts.get(c.param("user")) ?? [];
 *   cart.push(new TextDecoder().decode(await c.bytes()));
 *   carts.set(c.param("user"), cart);
 *   return c.json(cart);
 * });
 * export default app;
 * ```
 * @experimental
 */
export function place<Params extends string>(
  select: (c: Context<Params>) => Placement | PromiseLike<Placement>,
): Middleware<Params> {
  if (typeof select !== "function") throw new TypeError(`Cannot place a route: select is ${typeof select}`);
  return (c, next) => {
    const seat = actorSeat();
    if (seat === undefined) return next();
    const placement = select(c);
    return isThenable(placement)
      ? placement.then((found) => handle(c, { seat, found, next }))
      : handle(c, { seat, found: placement, next });
  };
}

interface Choice {
  readonly seat: ActorSeat;
  readonly found: Placement;
  readonly next: () => ReturnType<Handler>;
}

function handle(c: Context, { seat, found, next }: Choice): HandlerResult | PromiseLike<HandlerResult> {
  const owner = shardOf(found, seat.shardCount);
  return owner === seat.shard ? next() : passOn(c, owner, seat);
}

function shardOf(placement: Placement, shardCount: number): number {
  if (placement?.kind === "sticky") return ownerOf(placement.key, shardCount);
  const isShard =
    placement?.kind === "pinned" &&
    Number.isInteger(placement.thread) &&
    placement.thread >= 0 &&
    placement.thread < shardCount;
  if (isShard) return placement.thread;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot place a request: use sticky(key), or pinned() with one of ${shardCount} shards.`,
    { operation: "place", details: { kind: placement?.kind } },
  );
}

/** Fields of one hop (RFC 9110, section 7.6.1): each side frames its own messages. */
const HOP_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "expect",
]);
/** What the server of the connection writes itself. */
const OWN_FIELDS: ReadonlySet<string> = new Set(["date", "content-length"]);

async function passOn(c: Context, shard: number, { calls }: ActorSeat): Promise<Answer> {
  // Any other protocol that a client offers may be passed over (RFC 9110, section 7.8).
  if (/\bwebsocket\b/i.test(c.header("upgrade") ?? "")) {
    throw new HttpError(
      "ERR_RINGLOOM_UNSUPPORTED",
      501,
      "Cannot place a WebSocket: it stays on its connection's shard",
    );
  }
  const { url, method, remoteAddress, signal } = c;
  // The owner's side parses the URL anew, and would route another path than the one that was judged here.
  if (!URL.canParse(url) || new URL(url).pathname !== c.path) {
    throw new HttpError("ERR_RINGLOOM_BAD_PATH", 400, "Cannot place the request: its URL is not in its normal form");
  }
  const headers = [...c.headers()].filter(([name]) => !HOP_FIELDS.has(name));
  const body = await requestBody(c);
  const { port1: life, port2 } = new MessageChannel();
  const transfer: TransferListItem[] = body instanceof ReadableStream ? [port2, body as TransferListItem] : [port2];
  let answer: PlacedAnswer;
  try {
    const request = { url, method, remoteAddress, headers, body, life: port2 };
    answer = (await calls.invoke(answerPlaced.name, { shard, signal, timeoutMs: 0, transfer }, [
      request,
    ])) as PlacedAnswer;
  } catch (error) {
    life.close();
    throw signal.aborted ? error : lost(error);
  }
  return answerWith(c, answer, () => life.close());
}

/** Undefined lengths and long bodies flow. */
async function requestBody(c: Context): Promise<Uint8Array | ReadableStream<Uint8Array> | null> {
  if ((c.flags & FLAG_HAS_BODY) === 0) return null;
  if (c.method === "GET" || c.method === "HEAD") {
    throw new HttpError("ERR_RINGLOOM_UNSUPPORTED", 501, `Cannot place a ${c.method} request that has a body`);
  }
  const { expectedLength } = c.request;
  return expectedLength >= 0 && expectedLength <= WHOLE_BYTES_MAX ? c.bytes() : c.request.stream();
}

function answerWith(c: Context, { status, headers, body }: PlacedAnswer, done: () => void): Answer {
  let length: number | undefined;
  let hasType = false;
  // The middleware that comes before has run on the owner too: what it has set there takes the place of what it has set here. Twice, `Access-Control-Allow-Origin` for one is refused by browsers.
  const seen = new Set<string>();
  for (const [name, value] of headers) {
    if (name === "content-type") hasType = true;
    if (name === "content-length") length = Number(value);
    if (name === "connection" && value === "close") c.setHeader(name, value);
    if (HOP_FIELDS.has(name) || OWN_FIELDS.has(name)) continue;
    if (seen.has(name)) c.appendHeader(name, value);
    else c.setHeader(name, value);
    seen.add(name);
  }
  // A body without a type must not get the default one.
  if (!hasType) c.removeHeader("content-type");
  if (body instanceof ReadableStream) {
    return c.status(status).stream(untilDone(body, done), length === undefined ? {} : { contentLength: length });
  }
  done();
  if (c.isHead && length !== undefined) c.setHeader("content-length", length);
  return body === null ? c.empty(status) : c.body(body, status);
}

/** The owner is told when the body has been sent, or nobody wants the rest. No generator: one that is ended before it began would tell nobody. */
function untilDone(body: ReadableStream<Uint8Array>, done: () => void): AsyncIterable<Uint8Array> {
  const reader = body.getReader();
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const { done: isOver, value } = await reader.read();
        if (!isOver) return { done: false, value };
        done();
        return { done: true, value: undefined };
      },
      async return() {
        done();
        await reader.cancel();
        return { done: true, value: undefined };
      },
    }),
  };
}

/** The owner has not answered: it died, it stops, or it has too much to do. */
function lost(error: unknown): unknown {
  if (!(error instanceof RingloomError)) return error;
  return new HttpError(error.code, 503, "Cannot answer: the shard that owns the key has not", { cause: error });
}
