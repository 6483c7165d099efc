/**
 * The JSON Schemas of a document. One that refers to parts of itself cannot stand inside the document, where `#` means the document: it goes on the shelf, `#/components/schemas`, and its references with it.
 */
import type { Schema } from "./standard-schema.js";

type JsonSchema = Readonly<Record<string, unknown>>;

/** See the top of the file. */
export class SchemaShelf {
  readonly schemas: Record<string, unknown> = {};
  readonly #known = new Map<Schema, JsonSchema>();

  get isEmpty(): boolean {
    return Object.keys(this.schemas).length === 0;
  }

  /** The schema as it may stand in the document: itself, or a reference to the shelf. `{}` without a schema, and for one that does not tell. */
  place(schema: Schema | undefined): JsonSchema {
    if (schema === undefined) return {};
    const known = this.#known.get(schema);
    if (known !== undefined) return known;
    const { $schema: _, ...json } = jsonSchemaOf(schema);
    const placed = refers(json) ? this.#shelve(json) : json;
    this.#known.set(schema, placed);
    return placed;
  }

  #shelve(json: Record<string, unknown>): JsonSchema {
    const name = `schema${Object.keys(this.schemas).length + 1}`;
    const place = `#/components/schemas/${name}`;
    this.schemas[name] = rewritten(json, (reference) =>
      reference.startsWith("#") ? place + reference.slice(1) : reference,
    );
    return { $ref: place };
  }
}

function jsonSchemaOf(schema: Schema): Record<string, unknown> {
  try {
    return schema["~standard"].jsonSchema?.input({ target: "draft-2020-12" }) ?? {};
  } catch {
    // What JSON Schema has no words for: a date, a function.
    return {};
  }
}

function refers(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, part]) => (name === "$ref" && typeof part === "string") || refers(part));
}

function rewritten(value: unknown, change: (reference: string) => string): unknown {
  if (Array.isArray(value)) return value.map((part) => rewritten(part, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [
      name,
      name === "$ref" && typeof part === "string" ? change(part) : rewritten(part, change),
    ]),
  );
}
