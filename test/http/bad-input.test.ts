/**
 * What broken handlers and broken or hostile clients do to a server, over real sockets on each driver: the status,
 * whether the connection ends, the counter that moves, and that nothing stays behind. Malformed requests are in
 * `cases/`.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { afterEach, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { RingloomError } from "../../src/errors.js";
import { App, type Context } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import {
  type Exchanged,
  exchange,
  headerOf,
  parseAnswer,
  parseAnswers,
  saysClose,
  type WireAnswer,
} from "../support/http-wire.js";
import { Peer } from "../support/peer.js";
import { Signal } from "../support/signal.js";
import { countersOf, refusalProblem, type ServerSetup, SocketServer } from "../support/test-server.js";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_CLOSE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/** Timeouts that a test waits for. They decide how long it takes, and nothing else. */
const SHORT_MS = 60;

for (const driver of driversUnderTest) {
  describe(`bad input on ${driver.name}`, { skip: driver.skip }, () => {
    let server: SocketServer;
    const peers: Peer[] = [];

    async function start(app: App, setup: ServerSetup = {}): Promise<void> {
      server = await SocketServer.start(driver, app, setup);
    }

    /** Sends bytes on a connection of its own and returns the answers once the server has closed it. */
    async function send(...writes: string[]): Promise<WireAnswer[]> {
      return answersOf(await exchange(server.port, writes.map(latin1)));
    }

    async function open(): Promise<Peer> {
      const peer = await Peer.open(server.port);
      peers.push(peer);
      return peer;
    }

    /** After each test: every pool is full again, and the server goes. */
    afterEach(async () => {
      for (const peer of peers.splice(0)) peer.socket.destroy();
      await server.settle();
      const leftover = server.leftover();
      await server.close();
      assert.equal(leftover, undefined);
    });

    /** Asserts which counters moved since the start. */
    function counted(counter: string | undefined, times = 1): void {
      assert.equal(refusalProblem(countersOf(undefined), server.stats, counter, times), undefined);
    }

    describe("handlers", () => {
      const broken: Record<string, () => unknown> = {
        throws: () => {
          throw new Error("secret detail");
        },
        "throws something that is no Error": () => {
          throw "secret detail";
        },
        rejects: async () => {
          await Promise.resolve();
          throw new Error("secret detail");
        },
        "answers nothing": () => undefined,
        "resolves with nothing": async () => undefined,
      };
      for (const [what, handler] of Object.entries(broken)) {
        test(`a handler that ${what} is answered 500 without its message, and the connection goes on`, async () => {
          const app = new App();
          app.get("/", handler as never);
          app.get("/fine", (c) => c.text("fine"));
          await start(app);
          const [first, second] = await send(GET, GET_CLOSE.replace("/ ", "/fine "));
          assert.equal(first?.status, 500);
          assert.equal(saysClose(first), false);
          assert.equal(first.body.includes("secret"), false);
          assert.equal(second?.body.toString(), "fine");
          counted("handlerErrors");
        });
      }

      test("a handler that never answers learns that its client left", async () => {
        const seen = new Signal();
        let reason: unknown;
        let called = 0;
        const app = new App();
        app.get("/", (c) => {
          called += 1;
          c.signal.addEventListener("abort", () => {
            reason = c.signal.reason;
            seen.notify();
          });
          seen.notify();
          return new Promise<never>(() => undefined);
        });
        await start(app);
        const peer = await open();
        peer.send(GET);
        await seen.until("the handler to run", () => called === 1);
        peer.socket.resetAndDestroy();
        await seen.until("the signal to abort", () => reason !== undefined);
        assert.ok(reason instanceof RingloomError);
        assert.equal(reason.code, "ERR_RINGLOOM_ABORTED");
        await server.settle();
        assert.equal(server.stats.aborted, 1);
      });

      test("a handler that never answers is answered 503 after handlerTimeoutMs", async () => {
        const app = new App();
        app.get("/", () => new Promise<never>(() => undefined));
        await start(app, { limits: { handlerTimeoutMs: SHORT_MS } });
        const [answer] = await send(GET);
        assert.equal(answer?.status, 503);
        assert.equal(saysClose(answer), true);
        counted("handlerTimeouts");
      });

      test("a peer that half-closes and is never answered is let go after halfClosedTimeoutMs", async () => {
        const app = new App();
        app.get("/", () => new Promise<never>(() => undefined));
        await start(app, { limits: { halfClosedTimeoutMs: SHORT_MS } });
        const { bytes } = await exchange(server.port, [latin1(GET)], { end: true });
        assert.equal(bytes.length, 0);
        assert.equal(server.stats.halfClosedTimeouts, 1);
      });

      test("a peer that half-closes is answered by a handler that takes its time", async () => {
        const app = new App();
        app.get("/", async (c) => {
          for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
          return c.text("late but fine");
        });
        await start(app);
        const [answer] = answersOf(await exchange(server.port, [latin1(GET)], { end: true }));
        assert.equal(answer?.body.toString(), "late but fine");
        counted(undefined);
      });

      test("an answer after the client left is dropped, counted, and never reaches the next user of the slot", async () => {
        const { seen, release } = gate();
        const app = new App();
        let called = 0;
        app.get("/", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text("for the one who left");
        });
        app.get("/next", (c) => c.text("for the next"));
        await start(app, { sizes: { connectionsMax: 1 } });
        const gone = await open();
        gone.send(GET);
        await seen.until("the handler to run", () => called === 1);
        gone.socket.resetAndDestroy();
        await server.settle();
        const next = await open();
        release.resolve();
        await turns(5);
        next.send(GET_CLOSE.replace("/ ", "/next "));
        await next.ended();
        assert.deepEqual(
          parseAnswers(next.bytes).map(({ body }) => body.toString()),
          ["for the next"],
        );
        assert.equal(server.stats.lateAnswers, 1);
      });

      test("a context that is kept after its answer reaches nobody", async () => {
        const app = new App();
        let kept: Context | undefined;
        const outcomes: unknown[] = [];
        app.get("/", (c) => {
          kept = c as unknown as Context;
          return c.text("first");
        });
        app.get("/second", (c) => {
          try {
            kept?.setHeader("x-evil", "1");
            kept?.text("stolen");
          } catch (error) {
            outcomes.push(error);
          }
          return c.text("second");
        });
        await start(app);
        const answers = await send(GET, GET_CLOSE.replace("/ ", "/second "));
        assert.deepEqual(
          answers.map(({ body }) => body.toString()),
          ["first", "second"],
        );
        assert.equal(
          answers.some((answer) => headerOf(answer, "x-evil") !== undefined),
          false,
        );
        for (const error of outcomes) assert.ok(error instanceof RingloomError, String(error));
      });

      test("a handler that answers twice sends its last answer, once", async () => {
        const app = new App();
        app.get("/", (c) => {
          c.text("first", 201);
          return c.json({ second: true }, 202);
        });
        await start(app);
        const answers = await send(GET_CLOSE);
        assert.deepEqual(
          answers.map(({ status, body }) => [status, body.toString()]),
          [[202, '{"second":true}']],
        );
      });

      test("a handler that answers, then throws elsewhere, does not disturb its answer", async () => {
        const app = new App();
        app.get("/", (c) => {
          const answer = c.text("once");
          void Promise.reject(new Error("unrelated")).catch(() => undefined);
          return answer;
        });
        await start(app);
        const [answer] = await send(GET_CLOSE);
        assert.equal(answer?.body.toString(), "once");
        counted(undefined);
      });

      test("a stream that fails after its head cuts the connection, so that the answer is not taken for complete", async () => {
        const app = new App();
        app.get("/", (c) =>
          c.stream(
            (async function* () {
              yield "some";
              throw new Error("source broke");
            })(),
          ),
        );
        await start(app);
        const { bytes } = await exchange(server.port, [latin1(GET)]);
        // What was queued may have left before the failure or not.
        if (bytes.length > 0) assert.throws(() => parseAnswers(bytes));
        assert.equal(server.stats.responseStreamErrors, 1);
      });
    });

    describe("headers of answers", () => {
      const attempts: Record<string, (c: Context) => unknown> = {
        "a line end in a value": (c) => c.setHeader("x-a", "b\r\nx-injected: yes"),
        "a bare LF in a value": (c) => c.setHeader("x-a", "b\nx-injected: yes"),
        "a bare CR in a value": (c) => c.setHeader("x-a", "b\rx-injected: yes"),
        "a NUL in a value": (c) => c.setHeader("x-a", "b\0x-injected: yes"),
        "a character beyond latin-1 in a value": (c) => c.setHeader("x-a", "x-injected: \u010d\u010a"),
        "a line end in a name": (c) => c.setHeader("x-a\r\nx-injected", "yes"),
        "a space in a name": (c) => c.setHeader("x-injected yes", "b"),
        "an empty name": (c) => c.setHeader("", "x-injected"),
        "a colon in a name": (c) => c.setHeader("x-injected:", "b"),
        "a line end in an appended value": (c) => c.appendHeader("x-a", "b\r\nx-injected: yes"),
        "a line end in a redirect": (c) => c.redirect("/x\r\nx-injected: yes"),
        "a line end in a cookie's value": (c) => c.setCookie("a", "b\r\nx-injected: yes"),
        "a line end in a cookie's name": (c) => c.setCookie("a\r\nx-injected", "yes"),
      };
      for (const [what, attempt] of Object.entries(attempts)) {
        test(`${what} never reaches the wire`, async () => {
          const app = new App();
          app.get("/", (c) => {
            attempt(c as unknown as Context);
            return c.text("ok");
          });
          await start(app);
          const [answer] = await send(GET, GET_CLOSE);
          assert.ok(answer !== undefined);
          assert.equal(
            answer.headers.some(([name]) => name.includes("x-injected")),
            false,
          );
          // A value that can be encoded instead (a cookie's, a redirect's) may be; everything else is a TypeError in the handler.
          if (!what.includes("cookie's value") && !what.includes("redirect")) assert.equal(answer.status, 500);
        });
      }
    });

    describe("slow clients", () => {
      test("a connection on which nothing comes is closed after headerTimeoutMs", async () => {
        await start(helloApp(), { limits: { headerTimeoutMs: SHORT_MS } });
        const answers = await send();
        assert.deepEqual(
          answers.filter(({ status }) => status !== 408),
          [],
        );
        assert.equal(server.stats.headerTimeouts + server.stats.idleTimeouts, 1);
      });

      test("a head that does not come to its end is answered 408", async () => {
        await start(helloApp(), { limits: { headerTimeoutMs: SHORT_MS } });
        const [answer] = await send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
        assert.equal(answer?.status, 408);
        assert.equal(saysClose(answer), true);
        counted("headerTimeouts");
      });

      test("a head that comes byte by byte does not live longer for it", async () => {
        await start(helloApp(), { limits: { headerTimeoutMs: SHORT_MS } });
        const peer = await open();
        peer.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
        const drip = setInterval(() => peer.send("x"), 5);
        await peer.ended();
        clearInterval(drip);
        assert.equal(parseAnswer(peer.bytes, 0, false)[0].status, 408);
        counted("headerTimeouts");
      });

      test("a second head that does not come to its end is answered 408 after the first answer", async () => {
        await start(helloApp(), { limits: { headerTimeoutMs: SHORT_MS } });
        const answers = await send(`${GET}GET / HT`);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 408],
        );
        counted("headerTimeouts");
      });

      test("a body that stops coming is answered 408", async () => {
        await start(readingApp(), { limits: { bodyTimeoutMs: SHORT_MS } });
        const [answer] = await send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
        assert.equal(answer?.status, 408);
        assert.equal(saysClose(answer), true);
        assert.equal(server.stats.bodyTimeouts, 1);
      });

      test("a chunked body whose extension never ends is answered 408 or refused", async () => {
        await start(readingApp(), { limits: { bodyTimeoutMs: SHORT_MS } });
        const peer = await open();
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
        const drip = setInterval(() => peer.send("x"), 5);
        await peer.ended();
        clearInterval(drip);
        assert.match(String(parseAnswer(peer.bytes, 0, false)[0].status), /^(408|413)$/);
      });

      test("an idle connection is closed without an answer after idleTimeoutMs", async () => {
        await start(helloApp(), { limits: { idleTimeoutMs: SHORT_MS } });
        const answers = await send(GET);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200],
        );
        assert.equal(server.stats.idleTimeouts, 1);
      });

      test("a client that takes no answer is let go after writeTimeoutMs", async () => {
        await start(bigApp(), { limits: { writeTimeoutMs: SHORT_MS } });
        const peer = await open();
        peer.socket.pause();
        peer.send(GET.repeat(1000));
        await turnsUntil(() => server.stats.writeTimeouts === 1);
        await server.settle();
        assert.equal(server.stats.writeTimeouts, 1);
      });

      test("a client that takes no answer is let go although the connection is closing behind its last one", async () => {
        const app = new App().get("/", (c) => c.text("y".repeat(30_000)));
        // Long enough for the last request to be sent before the answers in front of it time out.
        await start(app, { limits: { writeTimeoutMs: 2_000 } });
        const peer = await open();
        peer.socket.pause();
        for (let sent = 1; server.driver.stats.writeBlocksNow === 0; sent++) {
          peer.send(GET);
          await turnsUntil(() => server.stats.answers === sent);
          await turns(20);
        }
        const { answers } = server.stats;
        peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        await turnsUntil(() => server.stats.answers > answers);
        await turnsUntil(() => server.stats.writeTimeouts === 1);
        await server.settle();
        assert.equal(server.driver.stats.writeBlocksNow, 0);
      });
    });

    describe("clients that take too much", () => {
      test("a client that pipelines and never reads makes no memory grow", async () => {
        await start(bigApp(), { limits: { writeTimeoutMs: 0 } });
        const peer = await open();
        peer.socket.pause();
        const requests = 2000;
        peer.send(GET.repeat(requests));
        await turnsUntil(() => server.stats.stalls > 0);
        await turns(50);
        const { writeBlocksNow } = server.driver.stats;
        assert.ok(server.stats.requests < requests, `${server.stats.requests} requests ran`);
        assert.ok(writeBlocksNow * 65_536 <= 4 * BIG_BYTES, `${writeBlocksNow} write blocks are taken`);
        assert.ok(server.stats.pendingBuffersNow <= 1);
        peer.socket.resume();
        await peer.received(requests * BIG_BYTES);
        peer.socket.end();
        await peer.closed();
        assert.equal(parseAnswers(peer.bytes).length, requests, "nothing was lost");
        assert.equal(server.stats.requests, requests);
      });

      test("a client that pipelines behind a handler that waits is read only so far", async () => {
        const { seen, release } = gate();
        const app = new App();
        let called = 0;
        app.get("/", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text("done");
        });
        await start(app);
        const peer = await open();
        const requests = 20_000;
        peer.send(GET.repeat(requests));
        await seen.until("the first handler to run", () => called === 1);
        await turns(50);
        assert.equal(called, 1, "one request at a time");
        assert.ok(server.driver.stats.receivedBytes < requests * GET.length, "the rest stays with the kernel");
        release.resolve();
        await turnsUntil(() => server.stats.answers === requests);
        peer.socket.end();
        await peer.closed();
        assert.equal(parseAnswers(peer.bytes).length, requests);
      });

      test("a body over its limit is answered 413 although the client goes on sending", async () => {
        await start(readingApp(), { limits: { bodyBytesMax: 1000, bodyStreamBytesMax: 1000 } });
        const peer = await open();
        peer.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n`);
        for (let sent = 0; sent < 10; sent++) peer.send("x".repeat(100_000));
        await peer.ended();
        assert.equal(peer.errorCode, undefined, "no reset destroys the answer");
        const [answer] = parseAnswers(peer.bytes);
        assert.equal(answer?.status, 413);
        assert.equal(saysClose(answer), true);
        assert.equal(server.stats.bodyOverflows, 1);
      });

      test("a body that nobody reads is dropped, and the connection goes on", async () => {
        await start(helloApp(), { limits: { bodyDiscardBytesMax: 10_000 } });
        const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
        const answers = await send(post, `${"x".repeat(5000)}${GET_CLOSE}`);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 200],
        );
        counted(undefined);
      });

      test("a long body that nobody reads ends the connection after the answer", async () => {
        await start(helloApp(), { limits: { bodyDiscardBytesMax: 10_000 } });
        const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n";
        const answers = await send(post, `${"x".repeat(100_000)}${GET}`);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200],
        );
        assert.equal(answers.map(saysClose)[0], true);
      });

      test("requestsPerConnectionMax ends a connection with the last answer", async () => {
        await start(helloApp(), { limits: { requestsPerConnectionMax: 3 } });
        const answers = await send(GET.repeat(5));
        assert.deepEqual(
          answers.map((answer) => [answer.status, saysClose(answer)]),
          [
            [200, false],
            [200, false],
            [200, true],
          ],
        );
      });

      test("when every connection slot is taken, a further client is turned away, and let in once one is free", async () => {
        await start(helloApp(), { sizes: { connectionsMax: 2 } });
        const first = await open();
        const second = await open();
        first.send(GET);
        second.send(GET);
        await Promise.all([first.received(1), second.received(1)]);
        const third = await open();
        await third.ended();
        assert.equal(third.receivedBytes, 0);
        assert.equal(server.driver.stats.rejected, 1);
        first.socket.end();
        await first.closed();
        await turnsUntil(() => server.driver.stats.connectionsNow === 1);
        const [answer] = await send(GET_CLOSE);
        assert.equal(answer?.status, 200);
      });

      test("when every parser state is taken, a further incomplete request is answered 503", async () => {
        await start(helloApp(), { limits: { parserStatesMax: 1 } });
        const first = await open();
        first.send("GET / HTTP/1.1\r\nHo");
        await turnsUntil(() => server.stats.parserStatesNow === 1);
        const [answer] = await send("GET / HTTP/1.1\r\nHo");
        assert.equal(answer?.status, 503);
        counted("overloads");
        first.send("st: a\r\n\r\n");
        await first.received(1);
        assert.match(first.text, /^HTTP\/1\.1 200 /);
      });

      test("when every kept head is taken, a further asynchronous request is answered 503", async () => {
        const { seen, release } = gate();
        const app = new App();
        let called = 0;
        app.get("/", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text(c.header("host") ?? "");
        });
        // Room for three heads of the largest size.
        await start(app, { limits: { headPoolBytesMax: 65_536 } });
        const waiting = await Promise.all([open(), open(), open()]);
        for (const peer of waiting) peer.send(GET);
        await seen.until("three handlers to run", () => called === 3);
        const [answer] = await send(GET);
        assert.equal(answer?.status, 503);
        assert.equal(saysClose(answer), true);
        counted("overloads");
        release.resolve();
        for (const peer of waiting) {
          await peer.received(1);
          assert.match(peer.text, /^HTTP\/1\.1 200 /);
        }
      });

      test("when the memory for pipelined bytes is taken, further connections that pipeline are closed, and the others are served", async () => {
        const { seen, release } = gate();
        const app = new App();
        let called = 0;
        app.get("/", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text("served");
        });
        await start(app, { limits: { pendingPoolBytesMax: 65_536 } });
        const requests = 100;
        const greedy = await Promise.all(Array.from({ length: 60 }, () => open()));
        for (const peer of greedy) peer.send(GET.repeat(requests));
        await turnsUntil(() => called === greedy.length && server.stats.overloads > 0);
        await turns(20);
        release.resolve();
        const cut = server.stats.overloads;
        const answered = greedy.length - cut;
        assert.ok(answered > 0, "some are served");
        await turnsUntil(() => server.stats.answers === answered * requests);
        assert.equal(server.stats.overloads, cut);
      });

      test("when every large-body block is taken, a further large body is answered 503", async () => {
        const { seen, release } = gate();
        const app = new App();
        let called = 0;
        app.post("/", async (c) => {
          called += 1;
          seen.notify();
          const bytes = await c.bytes();
          await release.promise;
          return c.text(String(bytes.length));
        });
        await start(app, { limits: { largeBodyBlocksMax: 1, largeBodyBlockBytes: 100_000 } });
        const head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n";
        const first = await open();
        first.send(`${head}xx`);
        await seen.until("the first handler to run", () => called === 1);
        await turnsUntil(() => server.stats.largeBodiesNow === 1);
        const [answer] = await send(`${head}${"x".repeat(50_000)}`);
        assert.equal(answer?.status, 503);
        assert.equal(server.stats.overloads, 1);
        first.send("x".repeat(49_998));
        release.resolve();
        await first.ended();
        assert.equal(parseAnswers(first.bytes)[0]?.body.toString(), "50000");
      });

      test("when the write pool is exhausted, a further request is answered 503 or closed, and served once there is room", async () => {
        await start(bigApp(), { sizes: { writePoolBytes: 4 * 65_536 }, limits: { writeTimeoutMs: 0 } });
        const greedy = await Promise.all(Array.from({ length: 12 }, () => open()));
        for (const peer of greedy) {
          peer.socket.pause();
          peer.send(GET.repeat(1000));
        }
        await turnsUntil(() => server.stats.writePoolExhausted > 0);
        for (const peer of greedy) peer.socket.destroy();
        await server.settle();
        const [answer] = await send(GET_CLOSE);
        assert.equal(answer?.status, 200);
      });
    });

    describe("clients that leave", () => {
      test("a reset within the body rejects the reader, and frees everything", async () => {
        const seen = new Signal();
        let failure: unknown;
        let called = 0;
        const app = new App();
        app.post("/", async (c) => {
          called += 1;
          seen.notify();
          try {
            return c.text(String((await c.bytes()).length));
          } catch (error) {
            failure = error;
            seen.notify();
            throw error;
          }
        });
        await start(app);
        const peer = await open();
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
        await seen.until("the handler to run", () => called === 1);
        peer.socket.resetAndDestroy();
        await seen.until("the body to fail", () => failure !== undefined);
        assert.ok(failure instanceof RingloomError);
        assert.equal(failure.code, "ERR_RINGLOOM_ABORTED");
        await server.settle();
        assert.equal(server.stats.aborted, 1);
        assert.equal(server.stats.resets, 1);
      });

      test("a reset within the head frees everything", async () => {
        await start(helloApp());
        const peer = await open();
        peer.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
        await turnsUntil(() => server.stats.parserStatesNow === 1);
        peer.socket.resetAndDestroy();
        await server.settle();
        counted(undefined);
        assert.equal(server.stats.requests, 0);
      });

      test("a reset while answers wait frees everything", async () => {
        await start(bigApp(), { limits: { writeTimeoutMs: 0 } });
        const peer = await open();
        peer.socket.pause();
        peer.send(GET.repeat(500));
        await turnsUntil(() => server.stats.stalls > 0);
        peer.socket.resetAndDestroy();
        await server.settle();
        assert.equal(server.driver.stats.writeBlocksNow, 0);
      });

      test("a client that leaves a streamed answer ends its source", async () => {
        const seen = new Signal();
        let ended = false;
        const app = new App();
        app.get("/", (c) =>
          c.stream(
            (async function* () {
              try {
                for (;;) yield "x".repeat(10_000);
              } finally {
                ended = true;
                seen.notify();
              }
            })(),
          ),
        );
        await start(app);
        const peer = await open();
        peer.send(GET);
        await peer.received(100_000);
        peer.socket.resetAndDestroy();
        await seen.until("the source to be ended", () => ended);
      });

      test("200 clients that connect and leave at once leave nothing behind", async () => {
        await start(helloApp());
        const all = await Promise.all(Array.from({ length: 200 }, () => open()));
        await turnsUntil(() => server.driver.stats.accepted === 200);
        for (const [index, peer] of all.entries()) {
          if (index % 3 === 0) peer.send("GET / HT");
          if (index % 2 === 0) peer.socket.resetAndDestroy();
          else peer.socket.destroy();
        }
        await server.settle();
        assert.equal(server.stats.requests, 0);
      });
    });

    describe("other protocols", () => {
      test("a TLS client fails and is counted as a bad request", async () => {
        await start(helloApp());
        const socket = connectTls({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false });
        const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
        assert.match(String(error.code), /SSL|EPROTO|ECONNRESET/);
        await server.settle();
        counted("badRequests");
      });

      test("an HTTP/2 client fails and is counted", async () => {
        await start(helloApp());
        const session = connectHttp2(`http://127.0.0.1:${server.port}`);
        const [error] = (await once(session, "error")) as [Error];
        assert.ok(error instanceof Error);
        session.destroy();
        await server.settle();
        counted("versionsRejected");
      });
    });

    describe("Expect", () => {
      const head =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";

      test("a client that waits is told to go on when the handler reads", async () => {
        await start(readingApp());
        const peer = await open();
        peer.send(head);
        await peer.received(1);
        assert.equal(peer.text, "HTTP/1.1 100 Continue\r\n\r\n");
        peer.send("abc");
        await peer.ended();
        assert.deepEqual(
          parseAnswers(peer.bytes).map(({ status }) => status),
          [100, 200],
        );
      });

      test("a client that waits gets the final answer alone when the handler does not read", async () => {
        await start(helloApp());
        const answers = await send(head);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200],
        );
        assert.equal(answers.map(saysClose)[0], true);
      });
    });

    describe("answers without a body", () => {
      test("HEAD gets the length of the body and no body", async () => {
        await start(helloApp());
        const { bytes } = await exchange(server.port, [latin1(`${GET.replace("GET", "HEAD")}${GET_CLOSE}`)]);
        const [head, get] = parseAnswers(bytes, (index) => index === 0);
        assert.equal(head === undefined ? undefined : headerOf(head, "content-length"), "5");
        assert.equal(get?.body.toString(), "hello");
      });

      for (const status of [204, 304]) {
        test(`${status} has no body whatever the handler gives`, async () => {
          const app = new App();
          app.get("/", (c) => {
            c.status(status);
            return c.text("must not be sent");
          });
          await start(app);
          const answers = await send(`${GET}${GET_CLOSE}`);
          assert.deepEqual(
            answers.map((answer) => answer.status),
            [status, status],
          );
        });
      }
    });

    describe("drain", () => {
      test("an idle connection is closed, and a request that is under way is answered with close", async () => {
        const { seen, release } = gate();
        const app = helloApp();
        let called = 0;
        app.get("/slow", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text("finished");
        });
        await start(app);
        const idle = await open();
        idle.send(GET);
        await idle.received(1);
        const busy = await open();
        busy.send(GET.replace("/ ", "/slow "));
        await seen.until("the slow handler to run", () => called === 1);
        const draining = server.server.drain({ graceMs: 1, deadlineMs: 10_000 });
        await idle.ended();
        assert.equal(busy.hasEnded, false);
        release.resolve();
        await busy.ended();
        const report = await draining;
        const [answer] = parseAnswers(busy.bytes);
        assert.equal(answer?.body.toString(), "finished");
        assert.equal(saysClose(answer), true);
        assert.equal(report.connectionsForced, 0);
        const late = Peer.start(server.port);
        await late.closed();
        assert.equal(late.receivedBytes, 0, "nobody is let in after a drain");
      });

      test("requests that came pipelined before a drain are all answered, and the last answer says close", async () => {
        const { seen, release } = gate();
        const app = helloApp();
        let called = 0;
        app.get("/slow", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text("slow");
        });
        await start(app);
        const peer = await open();
        peer.send(`${GET.replace("/ ", "/slow ")}${GET}${GET}`);
        await seen.until("the slow handler to run", () => called === 1);
        const draining = server.server.drain({ graceMs: 1, deadlineMs: 10_000 });
        release.resolve();
        await peer.ended();
        await draining;
        const answers = parseAnswers(peer.bytes);
        assert.deepEqual(
          answers.map(({ body }) => body.toString()),
          ["slow", "hello", "hello"],
        );
        assert.equal(answers.slice(0, 2).some(saysClose), false, "a client may drop what comes behind a close");
      });

      test("clients that wait to be accepted when a drain begins are served", async () => {
        await start(helloApp());
        const waiting = Array.from({ length: 20 }, () => Peer.start(server.port));
        peers.push(...waiting);
        for (const peer of waiting) peer.send(GET);
        await Promise.all(waiting.map((peer) => peer.signal.until("the peer to connect", () => peer.isConnected)));
        await server.server.drain({ graceMs: 1000, deadlineMs: 10_000 });
        for (const peer of waiting) {
          await peer.ended();
          assert.match(peer.text, /^HTTP\/1\.1 200 /);
        }
      });

      test("a further drain can bring the deadline forward, and not put it off", async () => {
        const { seen, release } = gate();
        const app = helloApp();
        let called = 0;
        app.get("/slow", async (c) => {
          called += 1;
          seen.notify();
          await release.promise;
          return c.text("never");
        });
        await start(app);
        const busy = await open();
        busy.send(GET.replace("/ ", "/slow "));
        await seen.until("the slow handler to run", () => called === 1);
        const drains = [600_000, undefined, 1, 900_000].map((deadlineMs) =>
          server.server.drain(deadlineMs === undefined ? {} : { deadlineMs }),
        );
        const reports = await Promise.all(drains);
        release.resolve();
        assert.equal(reports[0]?.connectionsForced, 1);
        for (const report of reports) assert.equal(report, reports[0], "there is one report");
      });

      test("a request that is not answered by the deadline is cut, and the report says so", async () => {
        const seen = new Signal();
        let called = 0;
        const app = new App();
        app.get("/", () => {
          called += 1;
          seen.notify();
          return new Promise<never>(() => undefined);
        });
        await start(app);
        const peer = await open();
        peer.send(GET);
        await seen.until("the handler to run", () => called === 1);
        const report = await server.server.drain({ graceMs: 1, deadlineMs: SHORT_MS });
        await peer.ended();
        assert.equal(report.connectionsForced, 1);
        assert.equal(peer.receivedBytes, 0);
      });

      test("a connection that is idle at the deadline is not counted as cut", async () => {
        await start(helloApp());
        const peer = await open();
        peer.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        await peer.signal.until("the answer", () => peer.text.endsWith("hello"));
        const report = await server.server.drain({ graceMs: 60_000, deadlineMs: SHORT_MS });
        await peer.ended();
        assert.deepEqual([report.connectionsClosedIdle, report.connectionsForced], [1, 0]);
      });
    });
  });
}

/** Larger than what a socket takes at once, together with a few others. */
const BIG_BYTES = 50_000;

function helloApp(): App {
  const app = new App();
  app.all("/", (c) => c.text("hello"));
  return app;
}

function bigApp(): App {
  const app = new App();
  const text = "y".repeat(BIG_BYTES);
  app.get("/", (c) => c.text(text));
  return app;
}

function readingApp(): App {
  const app = new App();
  app.post("/", async (c) => c.text(String((await c.bytes()).length)));
  return app;
}

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function answersOf({ bytes }: Exchanged): WireAnswer[] {
  return parseAnswers(bytes);
}

interface Gate {
  readonly seen: Signal;
  readonly release: { readonly promise: Promise<void>; readonly resolve: () => void };
}

/** A handler that waits for the test, and a test that waits for the handler. */
function gate(): Gate {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { seen: new Signal(), release: { promise, resolve: () => resolve() } };
}

async function turns(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve));
}

/** Turns of the event loop until `holds`; fails after far more than it can take. */
async function turnsUntil(holds: () => boolean): Promise<void> {
  const guard = Date.now() + 20_000;
  while (!holds()) {
    assert.ok(Date.now() < guard, `in vain: ${String(holds)}`);
    await turns(1);
  }
}
