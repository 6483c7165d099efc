/** `overrideGlobals: false`: nothing of the thread's own is replaced, and everything still works. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "../../src/http/index.js";

test("serve() leaves the globals alone when overrideGlobals is false, and replaces them by default", async () => {
  const before = [globalThis.Response, globalThis.Request, globalThis.fetch];
  const server = await serve({
    port: 0,
    driver: "portable",
    overrideGlobals: false,
    fetch: async (request) => {
      assert.ok(request instanceof Request);
      const clone = request.clone();
      return Response.json({ text: await request.text(), again: await clone.text() }, { status: 201 });
    },
  });
  assert.deepEqual([globalThis.Response, globalThis.Request, globalThis.fetch], before);
  const answer = await fetch(server.url, { method: "POST", body: "body" });
  assert.equal(answer.status, 201);
  assert.deepEqual(await answer.json(), { text: "body", again: "body" });
  await server.close();

  const [NativeResponse, NativeRequest, nativeFetch] = before;
  const second = await serve({ port: 0, driver: "portable", fetch: () => new Response("light") });
  assert.notEqual(globalThis.Response, NativeResponse);
  assert.notEqual(globalThis.Request, NativeRequest);
  assert.notEqual(globalThis.fetch, nativeFetch);
  const light = await fetch(second.url);
  assert.ok(light instanceof Response, "what fetch got is an instance of the light class too");
  assert.equal(await light.text(), "light");
  await second.close();
});
