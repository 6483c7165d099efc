/** HTTP over TLS, spoken with node:https, undici, curl and bare TLS sockets. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { Agent, type RequestOptions, request } from "node:https";
import { connect as connectPlain } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { Client } from "undici";
import { App, type ServeOptions, type Server, serve } from "../../src/http/index.js";
import { CERTIFICATE, CERTIFICATE_KEY, OTHER_CERTIFICATE, OTHER_KEY } from "../support/certificate.js";
import { findProgram, run } from "../support/serve-process.js";
import { within } from "../support/signal.js";

const curl = findProgram("curl");
const MIB = 1024 * 1024;
const TLS = { cert: CERTIFICATE, key: CERTIFICATE_KEY };
const OTHER = { cert: OTHER_CERTIFICATE, key: OTHER_KEY };

/** Lets the request for /held be answered. */
let release: (() => void) | undefined;

function application(): App {
  const app = new App();
  app.get("/", (c) => c.text("hello"));
  app.get("/about", (c) => {
    const { protocol, servername, isAuthorized, peerCertificate } = c.tls ?? {};
    return c.json({ url: c.url, protocol, servername, isAuthorized, name: peerCertificate?.subject.CN });
  });
  app.post("/echo", (c) => c.stream(c.request.stream()));
  app.get("/big", (c) => c.body(Buffer.alloc(16 * MIB, 7)));
  app.get("/slow", async (c) => {
    await setTimeout(100);
    return c.text("slow");
  });
  app.get("/held", async (c) => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    return c.text("held");
  });
  app.ws("/chat", { message: (ws, data) => void ws.send(data) });
  return app;
}

function start(options: Partial<ServeOptions> = {}): Promise<Server> {
  return serve({ port: 0, app: application(), driver: "portable", tls: TLS, log: () => undefined, ...options });
}

async function withServer(options: Partial<ServeOptions>, body: (server: Server) => Promise<void>): Promise<void> {
  const server = await start(options);
  try {
    await within("the body of the test", body(server));
  } finally {
    await within("the server to close", server.close());
  }
}

async function dial(server: Server, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const all = { host: "127.0.0.1", port: server.port, ca: [CERTIFICATE, OTHER_CERTIFICATE], servername: "localhost" };
  const socket = connect({ ...all, ...options });
  socket.on("error", () => undefined);
  await within("the handshake", once(socket, "secureConnect"));
  return socket;
}

async function get(server: Server, path: string, options: RequestOptions = {}): Promise<string> {
  const all: RequestOptions = { host: "127.0.0.1", port: server.port, path, agent: false, ca: CERTIFICATE, ...options };
  const [response] = await once(request(all).end(), "response");
  return text(response);
}

function certificateOf(socket: TLSSocket): string {
  return String(socket.getPeerCertificate().subject.CN);
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  await within(
    what,
    (async () => {
      while (!holds()) await setTimeout(5);
    })(),
  );
}

describe("HTTP over TLS", { timeout: 120_000 }, () => {
  let server: Server;
  before(async () => {
    server = await start();
  });
  after(() => server.close());

  test("serve() says https and why the portable driver serves", () => {
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(server.driver.name, "portable");
    assert.match(server.driver.reason, /TLS is Node's own/);
  });

  test("c.url is https, and c.tls tells of the connection", async () => {
    const about = JSON.parse(await get(server, "/about", { servername: "localhost", headers: { host: "localhost" } }));
    assert.equal(about.url, "https://localhost/about");
    assert.equal(about.servername, "localhost");
    assert.equal(about.isAuthorized, false);
    assert.match(about.protocol, /^TLSv1\.3$/);
  });

  test("a fetch handler sees https in the URL", async () => {
    const handler = (incoming: Request, info: { tls?: unknown }) =>
      new Response(`${incoming.url} ${info.tls !== undefined}`);
    const own = await serve({ port: 0, fetch: handler, driver: "portable", tls: TLS, overrideGlobals: false });
    try {
      assert.equal(await get(own, "/x?a=b", { headers: { host: "Localhost:443" } }), "https://localhost/x?a=b true");
    } finally {
      await own.close();
    }
  });

  test("one connection carries many requests, with node:https and with undici", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let index = 0; index < 5; index++) assert.equal(await get(server, "/", { agent }), "hello");
    agent.destroy();
    const client = new Client(server.url, { connect: { ca: CERTIFICATE }, pipelining: 8 });
    const answers = await Promise.all(
      Array.from({ length: 64 }, async () => (await client.request({ path: "/", method: "GET" })).body.text()),
    );
    assert.deepEqual(new Set(answers), new Set(["hello"]));
    await client.close();
  });

  test("pipelined requests are answered in order, wherever the bytes are cut", async () => {
    const socket = await dial(server);
    const requests = Buffer.from(
      "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /slow HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    for (let at = 0; at < requests.length; at += 7) socket.write(requests.subarray(at, at + 7));
    const answer = await within("the answers", text(socket));
    assert.deepEqual(answer.match(/hello|slow/g), ["hello", "slow", "hello"]);
  });

  test("an upload of 8 MiB in chunks comes back as it was", async () => {
    const sent = randomBytes(8 * MIB);
    const options: RequestOptions = {
      host: "127.0.0.1",
      port: server.port,
      path: "/echo",
      method: "POST",
      agent: false,
    };
    const upload = request({ ...options, ca: CERTIFICATE });
    const answered = once(upload, "response").then(([response]) => buffer(response));
    for (let at = 0; at < sent.length; at += 300_000) {
      if (!upload.write(sent.subarray(at, at + 300_000))) await once(upload, "drain");
    }
    upload.end();
    const answer = await within("the answer", answered);
    assert.equal(createHash("md5").update(answer).digest("hex"), createHash("md5").update(sent).digest("hex"));
  });

  test("a client that goes amid a large answer costs nobody anything", async () => {
    const socket = await dial(server);
    socket.write("GET /big HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(socket, "data");
    socket.destroy();
    await eventually("the connection to be gone", () => server.stats.connectionsNow === 0);
    assert.equal(await get(server, "/"), "hello");
  });

  test("a WebSocket answers over wss:", async () => {
    const socket = await dial(server);
    socket.write(
      "GET /chat HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    const [head] = await within("the answer", once(socket, "data"));
    assert.match(String(head), /^HTTP\/1\.1 101 /);
    // "hi" as text, masked with zeros.
    socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
    const [frame] = await within("the message", once(socket, "data"));
    assert.deepEqual([...(frame as Buffer)], [0x81, 2, 0x68, 0x69]);
    socket.destroy();
  });

  test("plain text on the port, and a client that trusts nobody, end in their handshakes", async () => {
    const plain = connectPlain(server.port, "127.0.0.1");
    plain.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    plain.on("error", () => undefined);
    await within("the end", once(plain.resume(), "close"));
    await assert.rejects(get(server, "/", { ca: OTHER_CERTIFICATE }), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    assert.equal(await get(server, "/"), "hello");
  });

  test("curl is answered over both versions of TLS", {
    skip: curl === undefined && "curl is not installed",
  }, async () => {
    for (const version of ["--tlsv1.3", "--tls-max 1.2"]) {
      const args = ["-sSk", ...version.split(" "), `${server.url}/`];
      const { code, stdout } = await run(curl ?? "", args);
      assert.deepEqual([code, String(stdout)], [0, "hello"]);
    }
  });
});

describe("TLS options of serve()", { timeout: 120_000 }, () => {
  test("sni gives each name its certificate, wildcards included", async () => {
    await withServer({ tls: { ...TLS, sni: { "other.test": OTHER, "*.other.test": OTHER } } }, async (server) => {
      const names = { localhost: "localhost", "other.test": "other.test", "A.OTHER.test": "other.test" };
      for (const [servername, expected] of Object.entries(names)) {
        const socket = await dial(server, { servername, checkServerIdentity: () => undefined });
        assert.equal(certificateOf(socket), expected, servername);
        socket.destroy();
      }
      const deep = await dial(server, { servername: "a.b.other.test", checkServerIdentity: () => undefined });
      assert.equal(certificateOf(deep), "localhost", "a star is one label");
      deep.destroy();
    });
  });

  test("requestCert: required lets in who shows a trusted certificate, and nobody else", async () => {
    const tls = { ...TLS, requestCert: "required", ca: OTHER_CERTIFICATE } as const;
    await withServer({ tls }, async (server) => {
      const about = JSON.parse(await get(server, "/about", OTHER));
      assert.deepEqual([about.isAuthorized, about.name], [true, "other.test"]);
      await assert.rejects(get(server, "/about"));
      await assert.rejects(
        get(server, "/about", TLS),
        "a certificate that signs itself is trusted only where it is named",
      );
      await eventually("the connections to be gone", () => server.stats.connectionsNow === 0);
    });
  });

  test("requestCert: optional leaves it to the handler", async () => {
    const tls = { ...TLS, requestCert: "optional", ca: OTHER_CERTIFICATE } as const;
    await withServer({ tls }, async (server) => {
      assert.equal(JSON.parse(await get(server, "/about")).isAuthorized, false);
      const shown = JSON.parse(await get(server, "/about", TLS));
      assert.deepEqual([shown.isAuthorized, shown.name], [false, "localhost"]);
      assert.equal(JSON.parse(await get(server, "/about", OTHER)).isAuthorized, true);
    });
  });

  test("minVersion refuses what is older", async () => {
    await withServer({ tls: { ...TLS, minVersion: "TLSv1.3" } }, async (server) => {
      await assert.rejects(get(server, "/", { maxVersion: "TLSv1.2" }));
      assert.equal(await get(server, "/"), "hello");
    });
  });

  test("a handshake that takes too long is cut", async () => {
    await withServer({ tls: { ...TLS, handshakeTimeoutMs: 100 } }, async (server) => {
      const silent = connectPlain(server.port, "127.0.0.1").on("error", () => undefined);
      await within("the cut", once(silent.resume(), "close"));
      assert.equal(await get(server, "/"), "hello");
    });
  });

  test("a handshake too many is cut, and the others go on", async () => {
    await withServer({ tls: { ...TLS, handshakesMax: 2 } }, async (server) => {
      const first = [connectPlain(server.port, "127.0.0.1"), connectPlain(server.port, "127.0.0.1")];
      for (const socket of first) socket.on("error", () => undefined);
      await Promise.all(first.map((socket) => once(socket, "connect")));
      const third = connectPlain(server.port, "127.0.0.1").on("error", () => undefined);
      await within("the third to be cut", once(third.resume(), "close"));
      assert.ok(first.every((socket) => !socket.closed && !socket.readableEnded));
      for (const socket of first) socket.destroy();
      await setTimeout(50);
      assert.equal(await get(server, "/"), "hello");
    });
  });

  test("reloadTls() shows the new certificate from the next handshake on, under load and without losing a request", async () => {
    await withServer({}, async (server) => {
      const kept = await dial(server);
      const agent = new Agent({ keepAlive: true, maxSockets: 4 });
      const ca = [CERTIFICATE, OTHER_CERTIFICATE];
      const trusting = { agent, ca, checkServerIdentity: () => undefined };
      let isOver = false;
      const load = Array.from({ length: 4 }, async () => {
        for (let count = 0; ; count++) {
          if (isOver) return count;
          assert.equal(await get(server, "/", trusting), "hello");
        }
      });
      for (let round = 0; round < 10; round++) {
        server.reloadTls(round % 2 === 0 ? OTHER : TLS);
        const socket = await dial(server, { servername: "localhost", checkServerIdentity: () => undefined });
        assert.equal(certificateOf(socket), round % 2 === 0 ? "other.test" : "localhost");
        const nameless = await dial(server, { servername: "", checkServerIdentity: () => undefined });
        assert.equal(certificateOf(nameless), round % 2 === 0 ? "other.test" : "localhost");
        socket.destroy();
        nameless.destroy();
      }
      isOver = true;
      for (const count of await Promise.all(load)) assert.ok(count > 0);
      agent.destroy();
      assert.throws(() => server.reloadTls({ cert: OTHER_CERTIFICATE }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
      kept.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      assert.match(await text(kept), /hello$/);
      assert.equal(await get(server, "/"), "hello", "a reload that failed has changed nothing");
    });
  });

  test("drain() finishes what was begun, says that it closes, and waits for nobody's handshake for long", async () => {
    const server = await start();
    const busy = await dial(server);
    busy.write("GET /held HTTP/1.1\r\nhost: a\r\n\r\n");
    const idle = await dial(server);
    const silent = connectPlain(server.port, "127.0.0.1").on("error", () => undefined);
    await once(silent, "connect");
    await eventually("the request", () => server.stats.requestsNow === 1);
    const answer = text(busy);
    const end = text(idle);
    const drained = server.drain({ graceMs: 50 });
    assert.equal(await within("the idle one to be closed", end), "");
    release?.();
    const report = await within("the drain", drained);
    assert.match(await answer, /connection: close[\s\S]*held$/i);
    assert.deepEqual([report.requestsFinished, report.connectionsForced], [1, 0]);
    silent.destroy();
  });

  test("a limit of connections holds for those that speak TLS", async () => {
    await withServer({ sizes: { connectionsMax: 1 } }, async (server) => {
      const first = await dial(server);
      const second = connect({ host: "127.0.0.1", port: server.port, ca: CERTIFICATE }).on("error", () => undefined);
      await within("the second to be refused", once(second.resume(), "close"));
      first.destroy();
      await eventually("the first to be gone", () => server.stats.connectionsNow === 0);
      assert.equal(await get(server, "/"), "hello");
    });
  });

  test("wrong options are refused before anything listens", async () => {
    const wrong: object[] = [
      { cert: CERTIFICATE },
      { ...TLS, key: OTHER_KEY },
      { ...TLS, cert: "no pem" },
      { ...TLS, requestCert: "sometimes" },
      { ...TLS, minVersion: "TLSv1" },
      { ...TLS, minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
      { ...TLS, alpn: [] },
      { ...TLS, handshakeTimeoutMs: 0 },
      { ...TLS, sni: { "a b": OTHER } },
      { ...TLS, sni: { "other.test": { cert: OTHER_CERTIFICATE } } },
      { ...TLS, spelled: "wrong" },
    ];
    for (const tls of wrong)
      await assert.rejects(start({ tls: tls as ServeOptions["tls"] & {} }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    await assert.rejects(start({ driver: "epoll" }), { code: "ERR_RINGLOOM_INVALID_OPTION", message: /portable/ });
    const plain = await serve({ port: 0, app: application() });
    assert.throws(() => plain.reloadTls(OTHER), { code: "ERR_RINGLOOM_UNSUPPORTED" });
    await plain.close();
  });
});
