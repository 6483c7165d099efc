/** What a case of the WebSocket list is, and the words that most cases are written in. */
import { isDeepStrictEqual } from "node:util";
import { closeFrame, type FrameParts, frame } from "../../ws/raw-client.js";
import type { WebSocketSession } from "./session.js";

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/**
 * `passed`: as the suite wants it. `non-strict`: as RFC 6455 allows, but later or less than it could be. `informational`: the RFC leaves it open. `not offered`:
 * the server does not agree to the extension.
 */
export type Verdict = "passed" | "non-strict" | "informational" | "not offered";

export interface WebSocketCase {
  readonly id: string;
  /** What is special about it, in a few words. */
  readonly what: string;
  /** Large cases are run a few at a time. */
  readonly isLarge?: boolean;
  /** Offers of permessage-deflate in the handshake. */
  readonly extensions?: string;
  /** Resolves with the verdict; rejects with an Error that says what was wrong. */
  run(session: WebSocketSession): Promise<Verdict>;
}

/** A message or a pong that came back. */
export interface Echo {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Sends frames, expects these echoes and no others, and closes with 1000, which is to be answered. */
export function echoes(
  frames: readonly Outgoing[],
  expected: readonly Echo[],
): (session: WebSocketSession) => Promise<Verdict> {
  return async (session) => {
    await sendAll(session, frames);
    await session.until(`${expected.length} answers`, () => session.echoes.length >= expected.length);
    await closeNormally(session);
    expectEchoes(session, expected);
    return "passed";
  };
}

/**
 * Sends frames of which one breaks the protocol: the server must end the connection, with one of `codes` if it says why. `lawful` are the echoes of what came
 * before; the RFC lets a server drop them.
 */
export function fails(
  frames: readonly Outgoing[],
  codes: readonly number[] = [1002],
  lawful: readonly Echo[] = [],
): (session: WebSocketSession) => Promise<Verdict> {
  return async (session) => {
    await sendAll(session, frames);
    await session.ended();
    expectCode(session, codes);
    if (isDeepStrictEqual(session.echoes, lawful)) return "passed";
    expectEchoes(session, []);
    return "non-strict";
  };
}

/** Sends frames of which one is a close frame: the server must answer with one of `codes`, or without a code, and end the connection. */
export function closes(
  frames: readonly Outgoing[],
  codes: readonly number[],
): (session: WebSocketSession) => Promise<Verdict> {
  return async (session) => {
    session.answersClose = false;
    await sendAll(session, frames);
    await session.ended();
    if (session.close === undefined) throw new Error("the close frame was not answered");
    expectCode(session, codes);
    expectEchoes(session, []);
    return "passed";
  };
}

/** A frame, and how it is cut on its way. */
export interface Outgoing extends FrameParts {
  /** Bytes of a piece; what is not cut leaves with what follows. */
  readonly pieceBytes?: number;
  /** Leaves before what follows. */
  readonly isAlone?: boolean;
}

/** Sends frames, one after the other. Those that are not cut leave together. */
export async function sendAll(session: WebSocketSession, frames: readonly Outgoing[]): Promise<void> {
  let together: Buffer[] = [];
  const flush = async (): Promise<void> => {
    if (together.length > 0) await session.send(Buffer.concat(together));
    together = [];
  };
  for (const one of frames) {
    const bytes = frame(one);
    if (one.pieceBytes !== undefined) {
      await flush();
      await session.sendInPieces(bytes, one.pieceBytes);
    } else {
      together.push(bytes);
      if (one.isAlone === true) await flush();
    }
  }
  await flush();
}

/** Closes with 1000 and expects the same. */
export async function closeNormally(session: WebSocketSession): Promise<void> {
  session.answersClose = false;
  await session.send(closeFrame(1000));
  await session.ended();
  if (session.close === undefined) throw new Error("the close frame was not answered");
  expectCode(session, [1000]);
}

/** Throws unless exactly these echoes came. */
export function expectEchoes(session: WebSocketSession, expected: readonly Echo[]): void {
  if (isDeepStrictEqual(session.echoes, expected)) return;
  throw new Error(
    `came back ${session.echoes.map(brief).join(", ") || "nothing"} instead of ${expected.map(brief).join(", ") || "nothing"}`,
  );
}

/** Throws when the server gave another code; none is right, as is an end without a close frame. */
export function expectCode({ close }: WebSocketSession, codes: readonly number[]): void {
  if (close?.code !== undefined && !codes.includes(close.code))
    throw new Error(`closed with ${close.code} instead of ${codes.join(" or ")}`);
}

export function text(payload: string | Buffer): Echo {
  return { opcode: TEXT, payload: Buffer.from(payload) };
}

export function binary(payload: Buffer): Echo {
  return { opcode: BINARY, payload };
}

export function pong(payload: string | Buffer): Echo {
  return { opcode: PONG, payload: Buffer.from(payload) };
}

function brief({ opcode, payload }: Echo): string {
  const what = opcode === TEXT ? "text" : opcode === BINARY ? "bytes" : opcode === PONG ? "a pong" : `opcode ${opcode}`;
  return `${what} of ${payload.length} (${payload.subarray(0, 16).toString("hex")})`;
}
