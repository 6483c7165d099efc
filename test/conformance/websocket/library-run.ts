/** The client of `ws` against our server: what a library sends by itself, with its own masks and its own fragments. */
import { once } from "node:events";
import { WebSocket } from "ws";
import type { EchoServer } from "./session.js";
import { utf8Groups } from "./utf8-sequences.js";

export interface LibraryScore {
  readonly checks: number;
  readonly problems: readonly string[];
}

const LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000, 16 * 1024 * 1024];
const CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999];
const PATIENCE_MS = 30_000;

/** Echoes of both kinds, in one frame and in three, pings, and closing codes. */
export async function runLibrary(server: EchoServer): Promise<LibraryScore> {
  const checks: [string, (client: WebSocket) => Promise<void>][] = [
    ...LENGTHS.flatMap((length): [string, (client: WebSocket) => Promise<void>][] => [
      [`text of ${length}`, (client) => echo(client, "a".repeat(length), 1)],
      [`bytes of ${length}`, (client) => echo(client, Buffer.alloc(length, 0xfe), 1)],
      [`bytes of ${length} in three fragments`, (client) => echo(client, Buffer.alloc(length, 0xfe), 3)],
    ]),
    ["every valid sequence of UTF-8", echoTexts],
    ["a ping", ping],
    ...CODES.map((code): [string, (client: WebSocket) => Promise<void>] => [
      `code ${code}`,
      (client) => close(client, code),
    ]),
  ];
  const problems: string[] = [];
  for (const [name, check] of checks) {
    const client = new WebSocket(`ws://127.0.0.1:${server.port}${server.path}`, { maxPayload: 0 });
    try {
      await once(client, "open", { signal: AbortSignal.timeout(PATIENCE_MS) });
      await check(client);
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
    } finally {
      client.terminate();
    }
  }
  return { checks: checks.length, problems };
}

async function echo(client: WebSocket, message: string | Buffer, fragments: number): Promise<void> {
  const bytes = Buffer.from(message);
  const step = Math.ceil(bytes.length / fragments) || 1;
  const answer = nextMessage(client);
  for (let index = 0; index < fragments; index++) {
    const isLast = index === fragments - 1;
    const piece = bytes.subarray(index * step, isLast ? bytes.length : (index + 1) * step);
    client.send(piece, { binary: typeof message !== "string", fin: isLast });
  }
  const [received, isBinary] = await answer;
  if (isBinary !== (typeof message !== "string") || !received.equals(bytes)) throw new Error("came back changed");
}

async function echoTexts(client: WebSocket): Promise<void> {
  for (const { bytes, isValid } of utf8Groups().flatMap(({ sequences }) => sequences))
    if (isValid) await echo(client, bytes.toString("utf8"), 1);
}

async function ping(client: WebSocket): Promise<void> {
  const answer = once(client, "pong", { signal: AbortSignal.timeout(PATIENCE_MS) });
  client.ping("payload");
  const [payload] = (await answer) as [Buffer];
  if (payload.toString() !== "payload") throw new Error(`the pong has ${payload.toString()}`);
}

async function close(client: WebSocket, code: number): Promise<void> {
  const closed = once(client, "close", { signal: AbortSignal.timeout(PATIENCE_MS) });
  client.close(code, "reason");
  const [received] = (await closed) as [number];
  if (received !== code) throw new Error(`closed with ${received}`);
}

async function nextMessage(client: WebSocket): Promise<[Buffer, boolean]> {
  return (await once(client, "message", { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer, boolean];
}
