/** The OpenAPI document (version 3.1) of an app: of its routes with a contract. */
import type { App } from "../http/app.js";
import { reasonPhrase } from "../http/status.js";
import { type ContractDefinition, definitionOf } from "./contract.js";
import { SchemaShelf } from "./schema-shelf.js";
import { isSchema, type Schema } from "./standard-schema.js";

/**
 * What the document says of the whole API.
 * @experimental
 */
export interface OpenApiOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
  /** URLs that the paths are relative to. Default: where the document was found. */
  readonly servers?: readonly string[];
}

/**
 * An OpenAPI document, ready for JSON.
 * @experimental
 */
export interface OpenApiDocument {
  readonly openapi: "3.1.0";
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly servers?: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components?: { readonly schemas: Readonly<Record<string, unknown>> };
}

/** The methods that a path item of OpenAPI has. */
const METHODS = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/**
 * The document of the routes that `app` has now and that have a {@link contract}. JSON Schemas come from the libraries by the Standard JSON Schema: zod 4.2 and arktype bring it, valibot with `toStandardJsonSchema` of
 * `@valibot/to-json-schema`. A schema that cannot tell stands in the document as `{}`: anything.
 *
 * ```ts run
 * import { z } from "zod";
 * import { contract, openapi } from "ringloom/contract";
 * import { App } from "ringloom/http";
 *
 * const app = new App();
 * const user = z.object({ id: z.string() });
 * app.get("/users/:id", contract({ params: user, responses: { 200: user } }, (c, { params }) => c.json(params)));
 * app.get("/openapi.json", (c) => c.json(openapi(app, { title: "Users", version: "1" })));
 *
 * const document = await (await app.request("/openapi.json")).text();
 * if (!document.includes('"/users/{id}":{"get":')) throw new Error("not there");
 * ```
 * @experimental
 */
export function openapi(app: App, { title, version, description, servers }: OpenApiOptions): OpenApiDocument {
  const shelf = new SchemaShelf();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { method, path, handler } of app.routes()) {
    const definition = definitionOf(handler);
    if (definition === undefined || !METHODS.includes(method)) continue;
    const name = templateOf(path);
    paths[name] ??= {};
    paths[name][method.toLowerCase()] = operationOf(definition, path, shelf);
  }
  return {
    openapi: "3.1.0",
    info: { title, version, ...(description === undefined ? {} : { description }) },
    ...(servers === undefined ? {} : { servers: servers.map((url) => ({ url })) }),
    paths,
    ...(shelf.isEmpty ? {} : { components: { schemas: shelf.schemas } }),
  };
}

/** `/users/:id/*rest` is `/users/{id}/{rest}`; OpenAPI has no parameter that spans slashes. */
function templateOf(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}").replace(/\*(\w*)$/, (_, name: string) => `{${name === "" ? "path" : name}}`);
}

function operationOf(definition: ContractDefinition, path: string, shelf: SchemaShelf): Record<string, unknown> {
  const { summary, description, tags, operationId, deprecated } = definition;
  const parameters = [
    ...parametersOf("path", shelf.place(definition.params), pathNames(path)),
    ...parametersOf("query", shelf.place(definition.query)),
    ...parametersOf("header", shelf.place(definition.headers)),
  ];
  const told = { summary, description, tags, operationId, deprecated };
  return {
    ...Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(definition.body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: shelf.place(definition.body) } } } }),
    responses: responsesOf(definition, shelf),
  };
}

function pathNames(path: string): string[] {
  return [...templateOf(path).matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
}

/** Every property of the object is a parameter. Those of the path are all there, whatever the schema says of them. */
function parametersOf(place: "path" | "query" | "header", schema: JsonSchema, names?: readonly string[]): unknown[] {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, unknown>>;
  const required = (schema.required ?? []) as readonly string[];
  return (names ?? Object.keys(properties)).map((name) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    schema: properties[name] ?? (place === "path" ? { type: "string" } : {}),
  }));
}

type JsonSchema = Readonly<Record<string, unknown>>;

function responsesOf({ responses = {} }: ContractDefinition, shelf: SchemaShelf): Record<string, unknown> {
  const entries = Object.entries(responses as Readonly<Record<string, Schema | string>>);
  if (entries.length === 0) return { default: { description: "An answer" } };
  return Object.fromEntries(
    entries.map(([status, response]) => {
      if (!isSchema(response)) return [status, { description: response }];
      const content = { "application/json": { schema: shelf.place(response) } };
      return [status, { description: reasonPhrase(Number(status)), content }];
    }),
  );
}
