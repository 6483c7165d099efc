/** Files as answers: what is served, what is not, and in which pieces. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { App, type Server, serve } from "../../src/http/index.js";
import { type StaticFilesOptions, staticFiles } from "../../src/middleware/index.js";

const LARGE = Buffer.from(Array.from({ length: 700_001 }, (_, index) => index % 251));

describe("staticFiles()", () => {
  let folder: string;
  let server: Server;
  const app = new App();

  function mount(at: string, options?: StaticFilesOptions): void {
    app.get(`${at}/*`, staticFiles(join(folder, "public"), options));
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ringloom-static-"));
    const root = join(folder, "public");
    await mkdir(join(root, "sub"), { recursive: true });
    await writeFile(join(folder, "secret.txt"), "secret");
    await writeFile(join(root, "index.html"), "<p>index</p>");
    await writeFile(join(root, "app.js"), "let a;");
    await writeFile(join(root, "app.js.br"), brotliCompressSync("let a;"));
    await writeFile(join(root, "empty.txt"), "");
    await writeFile(join(root, "sub/a b.txt"), "0123456789");
    await writeFile(join(root, "large.bin"), LARGE);
    await writeFile(join(root, ".env"), "hidden");
    await writeFile(join(root, "page.webc"), "page");
    await utimes(join(root, "sub/a b.txt"), 1_000_000_000, 1_000_000_000);
    await symlink(join(root, "app.js"), join(root, "link.js"));
    execFileSync("mkfifo", [join(root, "pipe")]);
    mount("/s", { maxAgeSeconds: 60, immutable: true });
    mount("/br", { precompressed: ["br"] });
    mount("/app", { fallback: "index.html", types: { ".webc": "text/html" }, hidden: true });
    mount("/bare", { index: "" });
    app.get("/none/*rest", staticFiles(join(folder, "missing")));
    app.get("/wrong", staticFiles(root));
    server = await serve({ port: 0, app, log: () => {} });
  });

  after(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  async function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
    return await fetch(`${server.url}${path}`, { headers, method });
  }

  async function openFiles(): Promise<number> {
    return (await readdir("/proc/self/fd")).length;
  }

  test("serves a file with its type, length, validators and age", async () => {
    const response = await get("/s/sub/a%20b.txt");
    assert.equal(await response.text(), "0123456789");
    assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
    assert.equal(response.headers.get("content-length"), "10");
    assert.equal(response.headers.get("last-modified"), "Sun, 09 Sep 2001 01:46:40 GMT");
    assert.equal(response.headers.get("cache-control"), "public, max-age=60, immutable");
    assert.equal(response.headers.get("accept-ranges"), "bytes");
    assert.match(response.headers.get("etag") ?? "", /^".+"$/);
    const large = await get("/s/large.bin");
    assert.equal(large.headers.get("content-type"), "application/octet-stream");
    assert.ok(Buffer.from(await large.arrayBuffer()).equals(LARGE));
    assert.equal(await (await get("/s/empty.txt")).text(), "");
    assert.equal(await (await get("/s/link.js")).text(), "let a;");
  });

  test("serves the index of a folder whose path ends with a slash, unless told not to", async () => {
    assert.equal(await (await get("/s/")).text(), "<p>index</p>");
    assert.deepEqual(
      [(await get("/s/sub")).status, (await get("/s/sub/")).status, (await get("/bare/")).status],
      [404, 404, 404],
    );
  });

  test("answers HEAD with the same header and no body", async () => {
    const [whole, head] = [await get("/s/large.bin"), await get("/s/large.bin", {}, "HEAD")];
    await whole.arrayBuffer();
    for (const name of ["content-length", "etag", "content-type", "last-modified"])
      assert.equal(head.headers.get(name), whole.headers.get(name), name);
    assert.equal(await head.text(), "");
  });

  test("does not leave its folder, show hidden names, or open what is no file", async () => {
    for (const path of [
      "/s/..%2fsecret.txt",
      "/s/%2e%2e/secret.txt",
      "/s/sub/..%5c..%5csecret.txt",
      "/s/a%00b",
      "/s/.env",
      "/s/pipe",
      "/s/sub",
      `/s/${"x".repeat(300)}`,
      "/none/a",
      "/s/app.js/x",
    ]) {
      const raw = await rawGet(path);
      assert.match(raw, /^HTTP\/1\.1 404 /, path);
      assert.doesNotMatch(raw, /secret\n|hidden/);
    }
    assert.equal(await (await get("/app/.env")).text(), "hidden");
  });

  test("gives one range, says when there is none, and the whole file for several or malformed ones", async () => {
    for (const [range, status, body, contentRange] of [
      ["bytes=2-4", 206, "234", "bytes 2-4/10"],
      ["bytes=7-", 206, "789", "bytes 7-9/10"],
      ["bytes=-3", 206, "789", "bytes 7-9/10"],
      ["bytes=-30", 206, "0123456789", "bytes 0-9/10"],
      ["bytes=5-500", 206, "56789", "bytes 5-9/10"],
      ["bytes=10-", 416, "", "bytes */10"],
      ["bytes=-0", 416, "", "bytes */10"],
      ["bytes=4-2", 200, "0123456789", null],
      ["bytes=0-1,4-5", 200, "0123456789", null],
      ["lines=0-1", 200, "0123456789", null],
      ["bytes=a-b", 200, "0123456789", null],
    ] as const) {
      const response = await get("/s/sub/a%20b.txt", { range });
      assert.deepEqual(
        [response.status, await response.text(), response.headers.get("content-range")],
        [status, body, contentRange],
        range,
      );
    }
    const middle = await get("/s/large.bin", { range: "bytes=200000-500000" });
    assert.ok(Buffer.from(await middle.arrayBuffer()).equals(LARGE.subarray(200_000, 500_001)));
  });

  test("judges If-None-Match, If-Modified-Since, If-Match, If-Unmodified-Since and If-Range", async () => {
    const path = "/s/sub/a%20b.txt";
    const etag = (await get(path)).headers.get("etag") ?? "";
    const date = "Sun, 09 Sep 2001 01:46:40 GMT";
    const earlier = "Sun, 09 Sep 2001 01:46:39 GMT";
    for (const [headers, status] of [
      [{ "if-none-match": etag }, 304],
      [{ "if-none-match": '"x"', "if-modified-since": date }, 200],
      [{ "if-modified-since": date }, 304],
      [{ "if-modified-since": earlier }, 200],
      [{ "if-match": etag }, 200],
      [{ "if-match": '"x"' }, 412],
      [{ "if-unmodified-since": earlier }, 412],
      [{ "if-unmodified-since": date }, 200],
      [{ range: "bytes=0-0", "if-range": etag }, 206],
      [{ range: "bytes=0-0", "if-range": '"x"' }, 200],
      [{ range: "bytes=0-0", "if-range": date }, 206],
      [{ range: "bytes=0-0", "if-range": earlier }, 200],
    ] as [Record<string, string>, number][])
      assert.equal((await get(path, headers)).status, status, JSON.stringify(headers));
  });

  test("serves a precompressed sibling to a client that takes it", async () => {
    const raw = await rawGet("/br/app.js", "Accept-Encoding: gzip, br\r\n", "latin1");
    const [head = "", body = ""] = raw.split("\r\n\r\n");
    assert.match(head, /content-encoding: br/i);
    assert.match(head, /vary: accept-encoding/i);
    assert.match(head, /content-type: text\/javascript; charset=utf-8/i);
    assert.equal(brotliDecompressSync(Buffer.from(body, "latin1")).toString(), "let a;");
    for (const accepted of ["gzip", "br;q=0"])
      assert.equal((await get("/br/app.js", { "accept-encoding": accepted })).headers.get("content-encoding"), null);
  });

  test("falls back to a page, and takes types of its own", async () => {
    const response = await get("/app/some/route");
    assert.deepEqual([response.status, await response.text()], [200, "<p>index</p>"]);
    assert.equal((await get("/app/page.webc")).headers.get("content-type"), "text/html; charset=utf-8");
  });

  test("leaves no file open: not after a 304, nor a client that goes, nor a file that shrinks", async () => {
    await (await get("/s/large.bin")).arrayBuffer();
    const before = await openFiles();
    const etag = (await get("/s/app.js", {}, "HEAD")).headers.get("etag") ?? "";
    for (let time = 0; time < 20; time++) {
      await get("/s/app.js", { "if-none-match": etag });
      await get("/s/app.js", {}, "HEAD");
      await get("/s/app.js", { range: "bytes=1000-" });
      await resetAfterHead("/s/large.bin");
    }
    // Some sockets of the client's pool may have come; a leak would be 20 or more.
    for (let tries = 0; (await openFiles()) > before + 4; tries++) {
      assert.ok(tries < 500, `${await openFiles()} descriptors are open, ${before} were`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });

  test("says what is wrong with its options and its route", async () => {
    assert.throws(() => staticFiles("x", { maxAge: 1 } as object), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => staticFiles("x", { precompressed: ["deflate" as "br"] }), {
      code: "ERR_RINGLOOM_INVALID_OPTION",
    });
    assert.throws(() => staticFiles(""), TypeError);
    assert.equal((await get("/wrong")).status, 500);
  });

  /** Without the normalisation of a URL parser. */
  function rawGet(path: string, header = "", encoding: BufferEncoding = "utf8"): Promise<string> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("end", () => resolve(Buffer.concat(chunks).toString(encoding)));
      socket.on("error", reject);
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n`);
    });
  }

  function resetAfterHead(path: string): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
      socket.once("data", () => socket.resetAndDestroy());
      socket.on("error", () => {});
      socket.on("close", () => resolve());
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    });
  }
});
