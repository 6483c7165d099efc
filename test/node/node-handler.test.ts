/** Routes of an App, and everything else in the hands of a program for node:http: on the same port, on the same connections. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, request, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { App } from "../../src/http/index.js";
import { nodeHandler } from "../../src/node/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { within } from "../support/signal.js";
import { SocketServer } from "../support/test-server.js";
import { Diary, eventually } from "./rig.js";

for (const under of driversUnderTest) {
  describe(`nodeHandler() on the ${under.name} driver`, { skip: under.skip }, () => {
    function start(listener: RequestListener, app = new App()): Promise<SocketServer> {
      app.get("/hot", (c) => c.text("hot"));
      app.fallback(nodeHandler(listener));
      return SocketServer.start(under, app);
    }

    async function end(server: SocketServer): Promise<void> {
      await server.settle();
      assert.equal(server.leftover(), undefined);
      assert.equal(server.stats.lateAnswers, 0);
      await server.close();
    }

    async function ask(server: SocketServer, path: string, body?: string, headers = {}): Promise<IncomingMessage> {
      const method = body === undefined ? "GET" : "POST";
      const outgoing = request({ port: server.port, host: "127.0.0.1", path, method, headers, agent: false });
      outgoing.end(body);
      const [response] = (await once(outgoing, "response")) as [IncomingMessage];
      return response;
    }

    test("answers pipelined requests of both kinds in order on one connection", async () => {
      const server = await start((incoming, response) => {
        const answer = (): unknown => response.end(`cold ${incoming.url}`);
        if (incoming.url === "/later") setImmediate(answer);
        else answer();
      });
      const peer = await Peer.open(server.port);
      const paths = ["/hot", "/a", "/later", "/hot", "/b", "/later", "/hot"];
      peer.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join(""));
      peer.send("GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      await peer.ended();
      const bodies = [...peer.text.matchAll(/\r\n\r\n(hot|cold \/(?:later|last|a|b))/g)].map(([, body]) => body);
      assert.deepEqual(
        bodies,
        [...paths, "/last"].map((path) => (path === "/hot" ? "hot" : `cold ${path}`)),
      );
      peer.socket.destroy();
      assert.equal(server.stats.answers, 8);
      await end(server);
    });

    test("gives the program the request as node:http would", async () => {
      const server = await start((incoming, response) => {
        const { method, url, headers, rawHeaders, httpVersion, complete } = incoming;
        const { remoteAddress } = incoming.socket;
        response.end(
          JSON.stringify({ method, url, headers, raw: rawHeaders.slice(0, 2), httpVersion, complete, remoteAddress }),
        );
      });
      const answer = JSON.parse(
        await text(await ask(server, "/a%20b?c=1", undefined, { "X-One": "1", "set-cookie": ["a", "b"] })),
      );
      assert.equal(answer.headers["x-one"], "1");
      assert.deepEqual(answer.headers["set-cookie"], ["a", "b"]);
      assert.deepEqual(answer.raw, ["X-One", "1"]);
      const { method, url, httpVersion, complete, remoteAddress } = answer;
      assert.deepEqual(
        [method, url, httpVersion, complete, remoteAddress],
        ["GET", "/a%20b?c=1", "1.1", true, "127.0.0.1"],
      );
      await end(server);
    });

    test("streams bodies both ways, with trailers", async () => {
      const server = await start((incoming, response) => {
        incoming.on("end", () => response.addTrailers({ "x-from": String(incoming.trailers["x-sum"]) }));
        incoming.pipe(response);
      });
      const large = "ringloom ".repeat(500_000);
      assert.equal(await text(await ask(server, "/echo", large)), large);
      const peer = await Peer.open(server.port);
      peer.send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
      peer.send("3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
      await peer.ended();
      assert.match(peer.text, /3\r\nabc\r\n0\r\nx-from: 6\r\n\r\n$/);
      peer.socket.destroy();
      await end(server);
    });

    test("sends HEAD, empty and long answers as node:http frames them", async () => {
      const server = await start((incoming, response) => {
        if (incoming.url === "/empty") response.writeHead(204).end();
        else if (incoming.url === "/hints") {
          response.writeEarlyHints({ link: "</a.css>; rel=preload" });
          response.end("hinted");
        } else if (incoming.url === "/drain") fill(response);
        else response.end("x".repeat(1_000_000));
      });
      const empty = await ask(server, "/empty");
      assert.deepEqual([empty.statusCode, await text(empty)], [204, ""]);
      assert.equal((await text(await ask(server, "/long"))).length, 1_000_000);
      assert.equal((await text(await ask(server, "/drain"))).length, 4_000_000);
      const peer = await Peer.open(server.port);
      peer.send("HEAD /long HTTP/1.1\r\nhost: x\r\n\r\nGET /hints HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      await peer.ended();
      assert.match(
        peer.text,
        /^HTTP\/1\.1 200 OK\r\n([^\r]+\r\n)+\r\nHTTP\/1\.1 103 Early Hints[\s\S]*\r\n\r\nhinted$/i,
      );
      peer.socket.destroy();
      await end(server);
    });

    test("tells the program that its client is gone, and cuts where the program destroys", async () => {
      const diary = new Diary();
      const server = await start((incoming, response) => {
        if (incoming.url === "/cut") {
          response.write("part");
          response.destroy();
          return;
        }
        response.on("close", () => diary.note(`close ${response.writableFinished}`));
        incoming.socket.on("close", () => diary.note("socket"));
        response.write("begun");
        diary.note("request");
      });
      const peer = await Peer.open(server.port);
      peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await diary.until("request");
      peer.socket.destroy();
      await diary.until("close false");
      await diary.until("socket");
      await assert.rejects(ask(server, "/cut").then(text));
      await end(server);
    });

    test("answers 500 where the program throws, and with what onError says", async () => {
      const app = new App().onError((error, c) => c.text(`hook: ${(error as Error).message}`, 502));
      const server = await start(() => {
        throw new Error("boom");
      }, app);
      const response = await ask(server, "/");
      assert.deepEqual([response.statusCode, await text(response)], [502, "hook: boom"]);
      await end(server);
    });

    test("gives a pipe its drain where the pieces are as long as the high water mark", async () => {
      const server = await start((incoming, response) => {
        response.writeHead(200, { "content-length": "3000000" });
        const pieces = Array.from({ length: 45 }, () => Buffer.alloc(65_536, "z"));
        pieces.push(Buffer.alloc(3_000_000 - 45 * 65_536, "z"));
        if (incoming.url !== "/twice") {
          Readable.from(pieces, { objectMode: false }).pipe(response);
          return;
        }
        const first = Readable.from(pieces.splice(0, 20), { objectMode: false });
        first.on("end", () => Readable.from(pieces, { objectMode: false }).pipe(response));
        first.pipe(response, { end: false });
      });
      for (const path of ["/", "/twice", "/"]) {
        const body = await within(path, ask(server, path).then(text));
        assert.equal(body.length, 3_000_000);
      }
      await end(server);
    });

    test("cuts and reports where the program throws behind its head, and goes on where behind its answer", async () => {
      const diary = new Diary();
      const server = await start((incoming, response) => {
        response.on("close", () => diary.note(`close ${incoming.url}`));
        if (incoming.url === "/after") response.end("whole");
        else response.writeHead(200).flushHeaders();
        throw new Error(`boom ${incoming.url}`);
      });
      const peer = await Peer.open(server.port);
      peer.send("GET /after HTTP/1.1\r\nhost: x\r\n\r\n");
      await peer.signal.until("the whole answer", () => peer.text.endsWith("whole"));
      peer.send("GET /head HTTP/1.1\r\nhost: x\r\n\r\n");
      await peer.ended();
      peer.socket.destroy();
      await diary.until("close /head");
      const messages = server.log.map(({ error }) => (error as Error).message);
      assert.deepEqual(messages, ["boom /after", "boom /head"]);
      assert.equal(server.stats.handlerErrors, 2);
      await end(server);
    });

    test("lets nothing of a program through that threw while onError answers later", async () => {
      const app = new App().onError(async (_error, c) => {
        await new Promise((resolve) => setImmediate(resolve));
        return c.text("hook", 502);
      });
      const server = await start((_incoming, response) => {
        response.write("held");
        setImmediate(() => response.end("late"));
        throw new Error("boom");
      }, app);
      const response = await ask(server, "/");
      assert.deepEqual([response.statusCode, await text(response)], [502, "hook"]);
      await end(server);
    });

    test("hands over other methods of a path and escapes that App refuses, past middleware", async () => {
      const app = new App().use(() => {
        throw new Error("middleware ran");
      });
      const server = await start((incoming, response) => response.end(`cold ${incoming.method} ${incoming.url}`), app);
      assert.equal(await text(await ask(server, "/hot", "x")), "cold POST /hot");
      assert.equal(await text(await ask(server, "/%zz")), "cold GET /%zz");
      await end(server);
    });

    test("works as a route behind middleware", async () => {
      const app = new App();
      app.all(
        "/old/*",
        async (_c, next) => {
          await Promise.resolve();
          return next();
        },
        nodeHandler((incoming, response) => response.end(`old ${incoming.url}`)),
      );
      const server = await SocketServer.start(under, app);
      assert.equal(await text(await ask(server, "/old/x")), "old /old/x");
      assert.equal(await text(await ask(server, "/old/y", "body")), "old /old/y");
      await end(server);
    });

    test("reports middleware that fails when the program has answered or begun to, and leaves the answer alone", async () => {
      const diary = new Diary();
      let finish: (() => void) | undefined;
      const app = new App();
      const old = nodeHandler((incoming, response) => {
        if (!incoming.url?.startsWith("/old/begun")) {
          response.end("whole");
          return;
        }
        response.write("begun ");
        finish = () => response.end("and ended");
        diary.note("begun");
      });
      app.all(
        "/old/*",
        async (_c, next) => {
          await Promise.resolve();
          await next();
          await new Promise((resolve) => setImmediate(resolve));
          throw new Error("audit failed");
        },
        old,
      );
      app.all(
        "/sync/*",
        (_c, next) => {
          next();
          return Promise.reject(new Error("audit failed"));
        },
        old,
      );
      const server = await SocketServer.start(under, app);
      assert.equal(await text(await ask(server, "/old/whole?secret")), "whole");
      await eventually("the report", () => server.log.length === 1);
      const answer = ask(server, "/old/begun").then(text);
      await diary.until("begun");
      await eventually("the report", () => server.log.length === 2);
      finish?.();
      assert.equal(await answer, "begun and ended");
      assert.equal(await text(await ask(server, "/sync/whole")), "whole");
      await eventually("the report", () => server.log.length === 3);
      assert.deepEqual(
        server.log.map(({ request, error }) => [request, (error as Error).message]),
        ["/old/whole", "/old/begun", "/sync/whole"].map((path) => [`GET ${path}`, "audit failed"]),
      );
      assert.equal(server.stats.handlerErrors, 3);
      await end(server);
    });

    test("takes a http.Server, and says what is no app", async () => {
      const server = createServer((incoming, response) => response.end(`server ${incoming.url}`));
      const good = await SocketServer.start(under, new App().fallback(nodeHandler(server)));
      assert.equal(await text(await ask(good, "/x")), "server /x");
      await end(good);
      const bad = await SocketServer.start(under, new App().fallback(nodeHandler({})));
      assert.equal(await text(await ask(bad, "/x")), "Internal Server Error\n");
      const [entry] = bad.log;
      assert.equal((entry?.error as { code?: string } | undefined)?.code, "ERR_RINGLOOM_NOT_AN_APP");
      await end(bad);
    });

    test("says Connection: close while the server drains", async () => {
      const diary = new Diary();
      let finish: (() => void) | undefined;
      const server = await start((_incoming, response) => {
        finish = () => response.end("waited");
        diary.note("request");
      });
      const peer = await Peer.open(server.port);
      peer.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      await diary.until("request");
      const drained = server.server.drain({ listenerStopped: () => void setImmediate(() => finish?.()) });
      await within("the drain", drained);
      await peer.ended();
      assert.match(peer.text, /connection: close\r\n[\s\S]*waited$/i);
      peer.socket.destroy();
      await end(server);
    });
  });
}

/** Writes 4 MB as a program does that heeds `write` and "drain". */
function fill(response: ServerResponse): void {
  let left = 40;
  const more = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write("y".repeat(100_000))) {
        response.once("drain", more);
        return;
      }
    }
    response.end();
  };
  more();
}
