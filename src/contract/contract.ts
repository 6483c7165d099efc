/** What a route takes and gives, said once: checked before the handler runs, typed inside it, and told by the OpenAPI document. */
import type { Handler } from "../http/app.js";
import type { Context, HandlerResult } from "../http/context.js";
import { HttpError } from "../http/http-error.js";
import { isThenable } from "../http/values.js";
import { isSchema, type OutputOf, type Schema, type SchemaIssue } from "./standard-schema.js";

/**
 * What a route takes. Each schema is of any library that follows the Standard Schema: zod, valibot, arktype.
 * @experimental
 */
export interface ContractInput {
  /** Over an object of the route's parameters, all of them text. */
  readonly params?: Schema;
  /** Over an object of the query's parameters: text, or a list of texts where a name repeats. */
  readonly query?: Schema;
  /** Over an object of the request's header, names in lower case. */
  readonly headers?: Schema;
  /** Over the request's body, which has to be JSON. */
  readonly body?: Schema;
}

/**
 * What a route takes and gives, and what to call it in the document.
 * @experimental
 */
export interface ContractDefinition extends ContractInput {
  /** By status, for the document: a schema of the JSON, or a sentence where there is none. They are not checked. */
  readonly responses?: Readonly<Record<number, Schema | string>>;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly operationId?: string;
  readonly deprecated?: boolean;
  /** Answers a request that does not fit. Default: 400 with a list of {@link ContractIssue} as `application/problem+json` (RFC 9457). */
  readonly onInvalid?: (c: Context, issues: readonly ContractIssue[]) => HandlerResult;
}

/**
 * What the handler gets: what the schemas made of the request. Undefined where there is no schema.
 * @experimental
 */
export interface ContractValues<Definition extends ContractInput> {
  readonly params: OutputOf<Definition["params"]>;
  readonly query: OutputOf<Definition["query"]>;
  readonly headers: OutputOf<Definition["headers"]>;
  readonly body: OutputOf<Definition["body"]>;
}

/**
 * Where a request does not fit.
 * @experimental
 */
export interface ContractIssue {
  readonly in: "params" | "query" | "headers" | "body";
  /** Names and indexes from the top. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const PARTS = ["params", "query", "headers", "body"] as const;
const NAMES: readonly string[] = [
  ...PARTS,
  "responses",
  "summary",
  "description",
  "tags",
  "operationId",
  "deprecated",
  "onInvalid",
];
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

/** What handlers promise. */
const definitions = new WeakMap<object, ContractDefinition>();

/** The contract that a handler was made with. */
export function definitionOf(handler: object): ContractDefinition | undefined {
  return definitions.get(handler);
}

/**
 * A handler that runs only for requests that fit, with what the schemas made of them: numbers, dates, defaults.
 *
 * ```ts run
 * import { z } from "zod";
 * import { contract } from "ringloom/contract";
 * import { App } from "ringloom/http";
 *
 * const app = new App();
 * app.post(
 *   "/users/:id",
 *   contract(
 *     { params: z.object({ id: z.coerce.number() }), body: z.object({ name: z.string().min(1) }) },
 *     (c, { params, body }) => c.json({ id: params.id + 1, name: body.name }),
 *   ),
 * );
 *
 * const post = (name: string) => app.request("/users/41", { method: "POST", body: JSON.stringify({ name }), headers: { "content-type": "application/json" } });
 * if ((await (await post("ada")).text()) !== '{"id":42,"name":"ada"}') throw new Error("not typed");
 * if ((await post("")).status !== 400) throw new Error("not checked");
 * ```
 * A body of another type is answered 415, one that is no JSON 400, one over `bodyBytesMax` 413.
 * @throws TypeError for what is no schema, and for a name that a contract does not have.
 * @experimental
 */
export function contract<const Definition extends ContractDefinition>(
  definition: Definition,
  handler: (c: Context, values: ContractValues<Definition>) => HandlerResult | PromiseLike<HandlerResult>,
): Handler {
  checkDefinition(definition);
  const { onInvalid = answerInvalid } = definition;
  const checked: Handler = async (c) => {
    const issues: ContractIssue[] = [];
    const values: Record<string, unknown> = {};
    for (const part of PARTS) {
      const schema = definition[part];
      values[part] =
        schema === undefined ? undefined : await judged(schema, { part, value: await partOf(c, part), issues });
    }
    if (issues.length > 0) return onInvalid(c, issues);
    // The schemas were run above, so the values are what their types say.
    return await handler(c, values as unknown as ContractValues<Definition>);
  };
  definitions.set(checked, definition);
  return checked;
}

async function judged(
  schema: Schema,
  { part, value, issues }: { part: ContractIssue["in"]; value: unknown; issues: ContractIssue[] },
): Promise<unknown> {
  const answer = schema["~standard"].validate(value);
  const result = isThenable(answer) ? await answer : answer;
  if (result.issues === undefined) return result.value;
  for (const issue of result.issues) issues.push({ in: part, path: pathOf(issue), message: issue.message });
  return undefined;
}

function partOf(c: Context, part: ContractIssue["in"]): unknown {
  switch (part) {
    case "params":
      return c.params();
    case "query":
      return queryOf(c);
    case "headers":
      return Object.fromEntries(c.headers());
    case "body":
      return bodyOf(c);
  }
}

function queryOf(c: Context): Record<string, string | string[]> {
  const record = Object.create(null) as Record<string, string | string[]>;
  // In one pass: asked for each name by itself, a query of a thousand names would be read a thousand times.
  for (const [name, value] of new URLSearchParams(c.queryString)) {
    const before = record[name];
    if (before === undefined) record[name] = value;
    else if (typeof before === "string") record[name] = [before, value];
    else before.push(value);
  }
  return record;
}

async function bodyOf(c: Context): Promise<unknown> {
  const contentType = c.header("content-type");
  if (contentType === undefined || !JSON_TYPE.test(contentType))
    throw new HttpError("ERR_RINGLOOM_UNSUPPORTED", 415, "Cannot read the request body: it is no application/json");
  const text = await c.request.text();
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HttpError("ERR_RINGLOOM_BAD_ENCODING", 400, "Cannot read the request body: it is no JSON", { cause });
  }
}

function pathOf({ path = [] }: SchemaIssue): (string | number)[] {
  return path.map((step) => {
    const key = typeof step === "object" ? step.key : step;
    return typeof key === "symbol" ? String(key) : key;
  });
}

function answerInvalid(c: Context, issues: readonly ContractIssue[]): HandlerResult {
  c.setHeader("content-type", "application/problem+json");
  return c.json({ title: "The request does not fit", status: 400, issues }, 400);
}

function checkDefinition(definition: ContractDefinition): void {
  for (const name of Object.keys(definition)) {
    if (!NAMES.includes(name)) throw new TypeError(`Cannot make a contract: there is no ${name} in it`);
  }
  for (const part of PARTS) {
    const schema: unknown = definition[part];
    if (schema !== undefined && !isSchema(schema))
      throw new TypeError(`Cannot make a contract: ${part} is no schema; it has to follow the Standard Schema`);
  }
  for (const [status, response] of Object.entries(definition.responses ?? {})) {
    if (!/^[2-5]\d\d$/.test(status)) throw new TypeError(`Cannot make a contract: ${status} is no status of an answer`);
    if (typeof response !== "string" && !isSchema(response))
      throw new TypeError(`Cannot make a contract: the response ${status} is neither a schema nor a text`);
  }
}
