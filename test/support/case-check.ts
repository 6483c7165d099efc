/** Compares what came back on a connection with what a protocol case expects. */
import { isDeepStrictEqual } from "node:util";
import type { ExpectedAnswer, ExpectedRequest, HttpCase } from "./http-cases.js";
import { headerOf, parseAnswers, saysClose, type WireAnswer } from "./http-wire.js";
import { readSeen, SEEN_HEADER, type SeenRequest } from "./seen.js";

/** The request that follows each case, unless its client ends. */
export const AFTER = Buffer.from("GET /after HTTP/1.1\r\nHost: after\r\nConnection: close\r\n\r\n", "latin1");

const AFTER_ANSWER: ExpectedAnswer = {
  status: 200,
  close: true,
  request: { method: "GET", target: "/after", version: "1.1", headers: new Map(), trailers: new Map(), body: "" },
};

/** Everything the client sends in a case. */
export function streamOf(from: HttpCase): Buffer {
  return from.clientEnds ? from.bytes : Buffer.concat([from.bytes, AFTER]);
}

/** The final answers that must come back, that to `/after` included. */
export function expectedAnswers(from: HttpCase): ExpectedAnswer[] {
  const finals = from.answers.filter(({ status }) => status >= 200);
  const isOpen = !from.clientEnds && finals.at(-1)?.close !== true;
  return isOpen ? [...finals, AFTER_ANSWER] : finals;
}

/** What is wrong with `bytes` as the answer to `from`; undefined when nothing is. */
export function problemOf(from: HttpCase, bytes: Buffer): string | undefined {
  const expected = expectedAnswers(from);
  let answers: WireAnswer[];
  try {
    answers = parseAnswers(bytes, (index) => expected[index]?.request?.method === "HEAD");
  } catch (error) {
    return `not HTTP: ${(error as Error).message}`;
  }
  const finals = answers.filter(({ status }) => status >= 200);
  const statuses = finals.map(({ status }) => status).join(", ");
  const wanted = expected.map(({ status }) => status).join(", ");
  if (statuses !== wanted) return `answers ${statuses || "nothing"} instead of ${wanted || "nothing"}`;
  const interims = answers.length - finals.length;
  const interimsMax = from.answers.filter(({ status }) => status < 200).length;
  if (interims > interimsMax) return `${interims} interim answers instead of at most ${interimsMax}`;
  for (const [index, answer] of finals.entries()) {
    const want = expected[index];
    // Whether the server knows by then that the client has ended is a matter of time, so the last answer may say either.
    const mayClose = from.clientEnds && index === finals.length - 1;
    const problem = want === undefined ? "unexpected" : answerProblem(answer, want, mayClose);
    if (problem !== undefined) return `answer ${index + 1} (${answer.status}): ${problem}`;
  }
  return undefined;
}

function answerProblem(answer: WireAnswer, expected: ExpectedAnswer, mayClose: boolean): string | undefined {
  if (saysClose(answer) !== expected.close && !mayClose)
    return `says ${expected.close ? "keep-alive instead of close" : "close instead of keep-alive"}`;
  const date = headerOf(answer, "date");
  if (date === undefined || Number.isNaN(Date.parse(date))) return `Date is ${String(date)}`;
  if (expected.request === undefined)
    return answer.body.includes("%22method%22") ? "the handler saw the request" : undefined;
  const text = expected.request.method === "HEAD" ? headerOf(answer, SEEN_HEADER) : answer.body.toString("latin1");
  if (text === undefined) return "what the handler saw is missing";
  return requestProblem(readSeen(text), expected.request);
}

function requestProblem(seen: SeenRequest, expected: ExpectedRequest): string | undefined {
  for (const key of ["method", "target", "version", "body"] as const) {
    if (seen[key] !== expected[key]) return `${key} is ${brief(seen[key])} instead of ${brief(expected[key])}`;
  }
  return (
    fieldsProblem("header", seen.headers, expected.headers) ??
    fieldsProblem("trailer", seen.trailers, expected.trailers)
  );
}

function fieldsProblem(
  what: string,
  seen: SeenRequest["headers"],
  expected: ReadonlyMap<string, readonly string[]>,
): string | undefined {
  for (const [name, values] of expected) {
    const found = seen.filter(([key]) => key === name).map(([, value]) => value);
    if (!isDeepStrictEqual(found, values)) return `${what} ${name} is ${brief(found)} instead of ${brief(values)}`;
  }
  return undefined;
}

function brief(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}… (${text.length} characters)` : text;
}
