/** Where the server does otherwise than llhttp's log says, and why. What no rule here explains fails `npm run conformance`. */
import { isDeepStrictEqual } from "node:util";
import type { SeenRequest } from "../../support/seen.js";
import type { GoldenCase } from "./golden-cases.js";
import type { ServerOutcome } from "./golden-run.js";

export interface Difference {
  readonly verdict: "agrees" | "explained" | "unexplained";
  readonly reason: string;
}

interface Rule {
  readonly reason: string;
  /** Whether it explains a difference that has been found. */
  applies(one: GoldenCase, ours: ServerOutcome): boolean;
}

const AGREES: Difference = { verdict: "agrees", reason: "" };
/** llhttp's error for what follows a request that said `Connection: close`. */
const AFTER_CLOSE = "Data after `Connection: close`";
const UPGRADE = "Pause on CONNECT/Upgrade";

const RULES: readonly Rule[] = [
  {
    reason: "CONNECT is answered 501: the server is no proxy (RFC 9110, section 9.3.6)",
    applies: ({ outcome }, ours) => outcome.requests.at(-1)?.method === "CONNECT" && ours.refusal === 501,
  },
  {
    reason: "RTSP and ICE are other protocols, which llhttp parses too; here they are refused (RFC 9112, section 2.3)",
    applies: ({ bytes }, ours) => / (RTSP|ICE)\/1\.0\r\n/.test(bytes.toString("latin1")) && ours.refusal === 400,
  },
  {
    reason: "HTTP/0.9 is not spoken (RFC 9112, section 3)",
    applies: ({ outcome }, ours) => outcome.requests.some(({ version }) => version === "") && ours.refusal === 505,
  },
  {
    reason:
      "an upgrade that nobody serves is not made: the request is answered, and what follows, in the other protocol, is refused (RFC 9110, section 7.8)",
    applies: ({ outcome }, ours) =>
      outcome.error === UPGRADE && ours.refusal === 400 && isDeepStrictEqual(outcome.requests, ours.requests),
  },
  {
    reason:
      "llhttp takes a tab around a length from 9.4 on; the build in the package that the server has it from is older",
    applies: ({ bytes }, ours) => /Content-Length:[ \t]*\t/.test(bytes.toString("latin1")) && isRefused(ours),
  },
  {
    reason: "a fragment is no part of a request target (RFC 9112, section 3.2.1)",
    applies: ({ outcome }, ours) => outcome.requests.some(({ target }) => target.includes("#")) && isRefused(ours),
  },
  {
    reason: "user information in a target is refused (RFC 9110, section 4.2.4)",
    applies: ({ outcome }, ours) =>
      outcome.requests.some(({ target }) => /^https?:\/\/[^/?]*@/.test(target)) && isRefused(ours),
  },
  {
    reason: "the asterisk is a target of OPTIONS only (RFC 9112, section 3.2.4)",
    applies: ({ outcome }, ours) =>
      outcome.requests.some(({ method, target }) => target === "*" && method !== "OPTIONS") && isRefused(ours),
  },
  {
    reason: "a transfer coding other than chunked alone is answered 501 (RFC 9112, section 6.1)",
    applies: ({ outcome }, ours) =>
      ours.refusal === 501 &&
      outcome.requests.some(({ headers }) =>
        headers.some(([name, value]) => name === "transfer-encoding" && value.toLowerCase() !== "chunked"),
      ),
  },
];

/** Compares what llhttp's log says with what the server did. */
export function differenceOf(one: GoldenCase, ours: ServerOutcome): Difference {
  if (agrees(one, ours)) return AGREES;
  const rule = RULES.find((candidate) => candidate.applies(one, ours));
  if (rule !== undefined) return { verdict: "explained", reason: rule.reason };
  const { requests, error } = one.outcome;
  const theirs = `${requests.map(brief).join(", ") || "no request"}${error === undefined ? "" : `, then "${error}"`}`;
  const refusal = ours.refusal === undefined ? "" : `, then ${ours.refusal}`;
  return {
    verdict: "unexplained",
    reason: `llhttp: ${theirs}; the server: ${ours.requests.map(brief).join(", ") || "no request"}${refusal}`,
  };
}

function isRefused({ requests, refusal }: ServerOutcome): boolean {
  return requests.length === 0 && refusal === 400;
}

function agrees(one: GoldenCase, ours: ServerOutcome): boolean {
  const { requests, error } = one.outcome;
  if (!isDeepStrictEqual(requests, ours.requests)) return false;
  // What follows a close is an error to the parser and not read by the server: nothing of it is processed by either.
  if (error === AFTER_CLOSE) return ours.refusal === undefined;
  // A protocol that nobody serves is not changed to.
  if (error === UPGRADE) return ours.refusal === undefined;
  return (error !== undefined) === (ours.refusal !== undefined);
}

function brief({ method, target, body }: SeenRequest): string {
  return `${method} ${target.slice(0, 40)}${body === "" ? "" : ` with ${body.length} bytes`}`;
}
