import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { METHOD_NAMES } from "./methods.js";
import { RequestHead } from "./request-head.js";
import { parsePattern } from "./route-pattern.js";
import { normalisePath, Router } from "./router.js";

function headOf(method: string, path: string): RequestHead {
  const head = new RequestHead(Buffer.from(`##${path}##`, "latin1"), 10);
  head.method = METHOD_NAMES.indexOf(method);
  head.pathStart = 2;
  head.pathLength = path.length;
  return head;
}

function routerOf(...routes: readonly string[]): Router<string> {
  const router = new Router<string>();
  for (const route of routes) {
    const [method = "", path = ""] = route.split(" ");
    router.add(method === "ALL" ? -1 : METHOD_NAMES.indexOf(method), parsePattern(path), route);
  }
  return router;
}

function find(
  router: Router<string>,
  method: string,
  path: string,
): { route: string; params: Record<string, string> } | undefined {
  const head = headOf(method, path);
  const route = router.match(head);
  if (route === undefined) return undefined;
  const params = Object.fromEntries(head.paramNames.map((name, index) => [name, head.param(index)]));
  return { route: route.handler, params };
}

test("Router.match() prefers static text to a parameter, and a parameter to a wildcard", () => {
  const router = routerOf("GET /users/new", "GET /users/:id", "GET /users/*", "GET /users/:id/posts");
  assert.deepEqual(find(router, "GET", "/users/new"), { route: "GET /users/new", params: {} });
  assert.deepEqual(find(router, "GET", "/users/7"), { route: "GET /users/:id", params: { id: "7" } });
  assert.deepEqual(find(router, "GET", "/users/newer"), { route: "GET /users/:id", params: { id: "newer" } });
  assert.deepEqual(find(router, "GET", "/users/7/posts"), { route: "GET /users/:id/posts", params: { id: "7" } });
  assert.deepEqual(find(router, "GET", "/users/new/posts"), { route: "GET /users/:id/posts", params: { id: "new" } });
  assert.deepEqual(find(router, "GET", "/users/7/likes"), { route: "GET /users/*", params: { "*": "7/likes" } });
});

test("Router.match() gives a wildcard the rest, which may be empty, but not the path without the slash", () => {
  const router = routerOf("GET /files/*path");
  assert.deepEqual(find(router, "GET", "/files/a/b.txt")?.params, { path: "a/b.txt" });
  assert.deepEqual(find(router, "GET", "/files/")?.params, { path: "" });
  assert.equal(find(router, "GET", "/files"), undefined);
});

test("Router.match() does not match a parameter with nothing, nor across a slash", () => {
  const router = routerOf("GET /a/:b");
  assert.equal(find(router, "GET", "/a/"), undefined);
  assert.equal(find(router, "GET", "/a/b/"), undefined);
  assert.equal(find(router, "GET", "/a"), undefined);
});

test("Router.match() tries other shapes when a path has no route of the method", () => {
  const router = routerOf("GET /users/me", "POST /users/:id");
  assert.deepEqual(find(router, "POST", "/users/me"), { route: "POST /users/:id", params: { id: "me" } });
  assert.equal(find(router, "PUT", "/users/me"), undefined);
  assert.deepEqual(router.allowed(), ["GET", "HEAD", "POST"]);
});

test("Router.match() answers HEAD with the route of GET unless HEAD has its own", () => {
  const router = routerOf("GET /a", "GET /b", "HEAD /b", "ALL /c");
  assert.equal(find(router, "HEAD", "/a")?.route, "GET /a");
  assert.equal(find(router, "HEAD", "/b")?.route, "HEAD /b");
  assert.equal(find(router, "PURGE", "/c")?.route, "ALL /c");
});

test("Router.add() throws for a second route of the same shape and method", () => {
  const router = routerOf("GET /a/:b");
  assert.throws(
    () => router.add(1, parsePattern("/a/:c"), "again"),
    /Cannot route GET \/a\/:c: \/a\/:b already matches/,
  );
  router.add(3, parsePattern("/a/:c"), "POST is another");
});

test("parsePattern() refuses bad patterns", () => {
  for (const path of ["", "a", "/:", "/:a-b", "/a:b", "/*/a", "/:a/:a", "/a?b", "/a#b", "/a*"]) {
    assert.throws(() => parsePattern(path), TypeError, path);
  }
});

test("parsePattern() encodes what a path cannot hold, as a client does", () => {
  const [only] = parsePattern("/café/a b/%7e/%2f").parts;
  assert.deepEqual(only, { kind: "static", text: "/caf%C3%A9/a%20b/~/%2F" });
});

test("normalisePath() decodes unreserved characters only, and refuses broken escapes", () => {
  function normalise(path: string): string | undefined {
    const bytes = Buffer.from(path, "latin1");
    return normalisePath(bytes, 0, bytes.length)?.toString("latin1");
  }
  assert.equal(normalise("/%68ello/%7Ex"), "/hello/~x");
  assert.equal(normalise("/a%2fb%2e%2E"), "/a%2Fb..");
  assert.equal(normalise("/%"), undefined);
  assert.equal(normalise("/%1"), undefined);
  assert.equal(normalise("/%g0"), undefined);
});

test("Router.match() agrees with a search through all routes", () => {
  const segment = fc.constantFrom("a", "ab", "abc", "b", ":p", ":q");
  const pattern = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.constantFrom("", "/*"));
  const path = fc.array(fc.constantFrom("a", "ab", "abc", "b", "x"), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      fc.array(pattern, { minLength: 1, maxLength: 8 }),
      fc.array(path, { minLength: 1, maxLength: 8 }),
      (patterns, paths) => {
        const router = new Router<string>();
        const added: string[] = [];
        for (const [segments, end] of patterns) {
          const source = `/${segments.map((text, index) => (text.startsWith(":") ? `${text}${index}` : text)).join("/")}${end}`;
          try {
            router.add(1, parsePattern(source), source);
            added.push(source);
          } catch {
            // The same shape again.
          }
        }
        for (const segments of paths) {
          const wanted = bestOf(added, segments);
          assert.equal(find(router, "GET", `/${segments.join("/")}`)?.route, wanted);
        }
      },
    ),
  );
});

/** Compares segment by segment: static before parameter before wildcard, the leftmost difference decides. */
function bestOf(patterns: readonly string[], path: readonly string[]): string | undefined {
  const ranked = patterns
    .map((pattern) => ({ pattern, rank: rankOf(pattern.slice(1).split("/"), path) }))
    .filter((item): item is { pattern: string; rank: string } => item.rank !== undefined)
    .sort((left, right) => (left.rank < right.rank ? -1 : 1));
  return ranked[0]?.pattern;
}

function rankOf(pattern: readonly string[], path: readonly string[]): string | undefined {
  let rank = "";
  for (const [index, segment] of pattern.entries()) {
    if (segment === "*") return index < path.length ? `${rank}3` : undefined;
    const actual = path[index];
    if (actual === undefined) return undefined;
    if (segment.startsWith(":")) rank += "2";
    else if (segment === actual) rank += "1";
    else return undefined;
  }
  return pattern.length === path.length ? rank : undefined;
}
