/** Contracts with the libraries that people use, and the document that comes of them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { z } from "zod";
import { contract, openapi, type Schema } from "../../src/contract/index.js";
import { App } from "../../src/http/index.js";

const JSON_HEADERS = { "content-type": "application/json" };

function post(app: App, path: string, body: string, headers: Record<string, string> = JSON_HEADERS): Promise<Response> {
  return app.request(path, { method: "POST", body, headers });
}

const ZOD = {
  params: z.object({ id: z.coerce.number().int() }),
  query: z.object({ tag: z.union([z.string(), z.array(z.string())]).optional(), page: z.coerce.number().default(1) }),
  headers: z.object({ "x-token": z.string().min(3) }),
  body: z.object({ name: z.string().min(1), born: z.iso.date().optional() }),
};
const VALIBOT = {
  params: v.object({ id: v.pipe(v.string(), v.transform(Number), v.integer()) }),
  query: v.object({
    tag: v.optional(v.union([v.string(), v.array(v.string())])),
    page: v.optional(v.pipe(v.string(), v.transform(Number)), "1"),
  }),
  headers: v.object({ "x-token": v.pipe(v.string(), v.minLength(3)) }),
  body: v.object({ name: v.pipe(v.string(), v.minLength(1)), born: v.optional(v.pipe(v.string(), v.isoDate())) }),
};

function appOf(schemas: typeof ZOD | typeof VALIBOT): App {
  const app = new App();
  app.group("/users", (users) => {
    users.post(
      "/:id",
      contract(schemas, (c, { params, query, headers, body }) =>
        c.json({ params, query, token: headers["x-token"], body }),
      ),
    );
  });
  return app;
}

describe("contract()", () => {
  test("reads a query of many names once", async () => {
    const Native = globalThis.URLSearchParams;
    let reads = 0;
    class Counted extends Native {
      constructor(init?: string) {
        super(init);
        if (init?.startsWith("n0=") === true) reads += 1;
      }
    }
    const app = new App();
    app.get(
      "/",
      contract({ query: z.record(z.string(), z.union([z.string(), z.array(z.string())])) }, (c, { query }) =>
        c.json([Object.keys(query).length, query.n0, query["a b"]]),
      ),
    );
    const names = Array.from({ length: 500 }, (_, index) => `n${index}=${index}`).join("&");
    globalThis.URLSearchParams = Counted as typeof URLSearchParams;
    try {
      const response = await app.request(`/?${names}&n0=again&n0=&a+b=%C3%A9`);
      assert.deepEqual(await response.json(), [501, ["0", "again", ""], "é"]);
      assert.equal(reads, 1);
    } finally {
      globalThis.URLSearchParams = Native;
    }
  });

  for (const [name, schemas] of [
    ["zod", ZOD],
    ["valibot", VALIBOT],
  ] as const) {
    test(`gives the handler what ${name} makes of the request`, async () => {
      const app = appOf(schemas);
      const response = await post(app, "/users/7?tag=a&tag=b", '{"name":"ada"}', { ...JSON_HEADERS, "x-token": "abc" });
      assert.deepEqual(await response.json(), {
        params: { id: 7 },
        query: { tag: ["a", "b"], page: 1 },
        token: "abc",
        body: { name: "ada" },
      });
    });

    test(`answers 400 with all that ${name} does not like`, async () => {
      const response = await post(appOf(schemas), "/users/x", '{"name":"","born":"today"}');
      assert.equal(response.status, 400);
      assert.equal(response.headers.get("content-type"), "application/problem+json");
      const { issues } = (await response.json()) as { issues: { in: string; path: string[]; message: string }[] };
      const places = issues.map((issue) => [issue.in, ...issue.path].join("."));
      assert.deepEqual(places, ["params.id", "headers.x-token", "body.name", "body.born"]);
      assert.ok(issues.every((issue) => issue.message.length > 3));
    });
  }

  test("types its values", () => {
    contract({ body: z.object({ a: z.number() }) }, (c, { body, query }) => {
      const number: number = body.a;
      const nothing: undefined = query;
      // @ts-expect-error The schema has no such name.
      return c.json([number, nothing, body.b]);
    });
  });

  test("answers 415 to another type, 400 to what is no JSON, and 413 to too much, before the handler runs", async () => {
    const app = new App();
    app.post(
      "/",
      contract({ body: z.unknown() }, () => assert.fail("ran")),
    );
    assert.equal((await post(app, "/", "a=1", { "content-type": "text/plain" })).status, 415);
    assert.equal((await post(app, "/", "{")).status, 400);
    assert.equal((await post(app, "/", `"${"x".repeat(1_100_000)}"`)).status, 413);
  });

  test("waits for schemas that wait, and lets the program answer what does not fit", async () => {
    const app = new App();
    const taken = z.object({ name: z.string().refine(async (name) => name !== "ada", "is taken") });
    app.post(
      "/",
      contract({ body: taken, onInvalid: (c, [first]) => c.text(first?.message ?? "", 422) }, (c) => c.text("free")),
    );
    assert.equal(await (await post(app, "/", '{"name":"grace"}')).text(), "free");
    const refused = await post(app, "/", '{"name":"ada"}');
    assert.deepEqual([refused.status, await refused.text()], [422, "is taken"]);
  });

  test("throws for what is no contract", () => {
    const bad =
      (definition: object): (() => void) =>
      () =>
        void contract(definition, (c) => c.text(""));
    assert.throws(bad({ body: { type: "string" } }), /body is no schema/);
    assert.throws(bad({ bdy: z.string() }), /there is no bdy/);
    assert.throws(bad({ responses: { 99: "no" } }), /99 is no status/);
    assert.throws(bad({ responses: { 200: 1 } }), /neither a schema nor a text/);
  });
});

describe("openapi()", () => {
  const tree: z.ZodType = z.object({
    name: z.string(),
    get children() {
      return z.array(tree);
    },
  });

  function documented(): App {
    const app = appOf(ZOD);
    const withJson: Schema = toStandardJsonSchema(VALIBOT.body);
    app.get(
      "/trees/:id",
      contract({ responses: { 200: tree, 404: "no such tree" }, tags: ["trees"], summary: "A tree" }, (c) =>
        c.json({}),
      ),
    );
    app.put(
      "/trees/:id",
      contract({ body: tree, operationId: "putTree", deprecated: true }, (c) => c.empty()),
    );
    app.get(
      "/files/*path",
      contract({ params: z.object({ path: z.string() }) }, (c) => c.text("")),
    );
    app.post(
      "/valibot",
      contract({ body: withJson }, (c) => c.empty()),
    );
    app.post(
      "/silent",
      contract({ body: VALIBOT.body, query: z.object({ at: z.date() }) }, (c) => c.empty()),
    );
    app.get("/private", (c) => c.text("no contract"));
    app.all(
      "/any",
      contract({}, (c) => c.text("")),
    );
    return app;
  }

  test("is a valid document of the routes that have a contract", async () => {
    const document = openapi(documented(), { title: "Test", version: "1.2", servers: ["https://api.example"] });
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)));
    assert.ok(result.valid, JSON.stringify(result.errors));
    assert.deepEqual(Object.keys(document.paths), [
      "/users/{id}",
      "/trees/{id}",
      "/files/{path}",
      "/valibot",
      "/silent",
    ]);
    const { post: create } = document.paths["/users/{id}"] as {
      post: { parameters: { name: string; in: string; required: boolean }[] };
    };
    assert.deepEqual(
      create.parameters.map((parameter) => [parameter.in, parameter.name, parameter.required]),
      [
        ["path", "id", true],
        ["query", "tag", false],
        ["query", "page", false],
        ["header", "x-token", true],
      ],
    );
    const text = JSON.stringify(document);
    assert.match(
      text,
      /"\/valibot":\{"post":\{"requestBody":\{"required":true,"content":\{"application\/json":\{"schema":\{"type":"object"/,
    );
    assert.match(text, /"no such tree"/);
  });

  test("keeps schemas that refer to themselves on one shelf, with references that lead somewhere", () => {
    const document = openapi(documented(), { title: "Test", version: "1" });
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#([^"]*)"/g)].map(([, pointer = ""]) => pointer);
    assert.ok(references.length >= 3);
    for (const pointer of references) {
      let at: unknown = document;
      for (const step of pointer.split("/").slice(1)) at = (at as Record<string, unknown>)[step];
      assert.ok(at !== undefined, pointer);
    }
    assert.equal(Object.keys(document.components?.schemas ?? {}).length, 1);
  });
});

describe("App.routes()", () => {
  test("tells methods and whole patterns, in order", () => {
    const inner = new App();
    inner.get("/b", (c) => c.text(""));
    const app = new App();
    app.all("/a", (c) => c.text(""));
    app.route("/:x", inner);
    assert.deepEqual(
      app.routes().map(({ method, path }) => `${method} ${path}`),
      ["* /a", "GET /:x/b"],
    );
  });
});
