/** Forms as undici, curl-like bytes and nobody in their right mind send them. */
import assert from "node:assert/strict";
import { buffer, text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { App } from "../../src/http/index.js";
import { type MultipartOptions, multipart } from "../../src/middleware/index.js";
import { within } from "../support/signal.js";

/** Answers with what came: fields as they are, files as their name, type and length. */
function appWith(options?: MultipartOptions): App {
  const app = new App();
  app.post("/", async (c) => {
    const found: unknown[] = [];
    for await (const part of multipart(c, options)) {
      if (part.kind === "field") found.push([part.name, part.value]);
      else found.push([part.name, part.filename, part.contentType, (await buffer(part.stream)).length]);
    }
    return c.json(found);
  });
  app.post("/first", async (c) => {
    for await (const part of multipart(c, options)) return c.text(part.name);
    return c.text("none");
  });
  app.post("/unread", async (c) => {
    const names: string[] = [];
    for await (const part of multipart(c, options)) names.push(part.name);
    return c.json(names);
  });
  app.post("/sniff", async (c) => {
    const names: string[] = [];
    for await (const part of multipart(c, options)) {
      names.push(part.name);
      if (part.name === "broken" && part.kind === "file") part.stream.destroy();
      else if (part.kind === "file") for await (const _ of part.stream) break;
    }
    return c.json(names);
  });
  return app;
}

function form(parts: Record<string, string | Blob>): FormData {
  const body = new FormData();
  for (const [name, value] of Object.entries(parts)) {
    if (typeof value === "string") body.set(name, value);
    else body.set(name, value, `${name}.bin`);
  }
  return body;
}

function raw(body: string, type = "multipart/form-data; boundary=x"): RequestInit {
  return { method: "POST", body, headers: { "content-type": type } };
}

const FILE = new Blob([new Uint8Array(300_000)], { type: "image/png" });

describe("multipart()", () => {
  test("gives fields and files in their order", async () => {
    const body = form({ a: "1", file: FILE, b: "é\r\n--", last: new Blob([]) });
    const response = await appWith().request("/", { method: "POST", body });
    assert.deepEqual(await response.json(), [
      ["a", "1"],
      ["file", "file.bin", "image/png", 300_000],
      ["b", "é\r\n--"],
      ["last", "last.bin", "application/octet-stream", 0],
    ]);
  });

  test("drops what nobody reads, and ends when its reader does", async () => {
    const body = () => form({ one: FILE, two: FILE, three: "3" });
    const unread = await appWith().request("/unread", { method: "POST", body: body() });
    assert.deepEqual(await unread.json(), ["one", "two", "three"]);
    const first = await appWith().request("/first", { method: "POST", body: body() });
    assert.equal(await first.text(), "one");
  });

  test("goes on behind a file that its reader leaves early", async () => {
    const body = form({ one: FILE, broken: FILE, two: FILE, three: "3" });
    const response = await appWith().request("/sniff", { method: "POST", body });
    assert.deepEqual(await response.json(), ["one", "broken", "two", "three"]);
  });

  test("answers 413 to what is over a limit", async () => {
    for (const [options, body] of [
      [{ fieldBytesMax: 3 }, form({ a: "1234" })],
      [{ fieldsMax: 1 }, form({ a: "1", b: "2" })],
      [{ fileBytesMax: 10_000 }, form({ a: FILE })],
      [{ filesMax: 1 }, form({ a: FILE, b: FILE })],
    ] as [MultipartOptions, FormData][]) {
      const response = await appWith(options).request("/", { method: "POST", body });
      assert.equal(response.status, 413, JSON.stringify(options));
      assert.match(await response.text(), /^Cannot read the form: /);
    }
  });

  test("answers 415 to other types, 400 to a form that is broken or ends early", async () => {
    const app = appWith();
    for (const [init, status] of [
      [raw("a=1", "application/x-www-form-urlencoded"), 415],
      [{ method: "POST", body: "a" }, 415],
      [raw("--x", "multipart/form-data"), 400],
      [raw('--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nend'), 400],
      [raw('--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nend'), 400],
      [raw("--x\r\nContent-Disposition: form-data\r\n\r\nnameless\r\n--x--\r\n"), 400],
      [raw('--x\r\nContent-Disposition: form-data; filename="b"\r\n\r\nnameless\r\n--x--\r\n'), 400],
    ] as [RequestInit, number][]) {
      const response = await app.request("/", init);
      assert.equal(response.status, status, `${String(init.body)}: ${await response.text()}`);
    }
  });

  test("tells who reads a file that its client has gone", async () => {
    const app = new App();
    let begun = (): void => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const outcome = new Promise<unknown>((resolve) => {
      app.post("/", async (c) => {
        for await (const part of multipart(c)) {
          if (part.kind !== "file") continue;
          begun();
          resolve(await buffer(part.stream).catch((error: unknown) => error));
        }
        return c.empty();
      });
    });
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from('--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nbegin'));
      },
      async pull(controller) {
        await hasBegun;
        controller.error(new Error("the client goes"));
      },
    });
    const headers = { "content-type": "multipart/form-data; boundary=x" };
    await assert.rejects(app.request("/", { method: "POST", headers, body, duplex: "half" } as RequestInit));
    assert.ok((await within("the end of the file", outcome)) instanceof Error);
  });

  test("a file that says no name has an empty one", async () => {
    const head = 'Content-Disposition: form-data; name="a"\r\nContent-Type: application/octet-stream';
    const response = await appWith().request("/", raw(`--x\r\n${head}\r\n\r\nbytes\r\n--x--\r\n`));
    assert.deepEqual(await response.json(), [["a", "", "application/octet-stream", 5]]);
  });

  test("takes the folders off a file's name", async () => {
    const body = '--x\r\nContent-Disposition: form-data; name="a"; filename="../../etc/passwd"\r\n\r\nb\r\n--x--\r\n';
    const response = await appWith().request("/", raw(body));
    assert.match(await text((await response.blob()).stream()), /"passwd"/);
  });

  test("refuses options that it does not have", async () => {
    const app = appWith({ fileSize: 1 } as object);
    app.onError((error, c) => c.text(String((error as { code?: string }).code), 500));
    assert.equal(await (await app.request("/", raw("--x--\r\n"))).text(), "ERR_RINGLOOM_INVALID_OPTION");
  });
});
