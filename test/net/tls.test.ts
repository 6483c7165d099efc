/** Outbound TLS: streams that speak it to servers of node:tls. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer as createPlain } from "node:net";
import { after, describe, test } from "node:test";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { type ConnectOptions, connect, type NetStream, startTls, type TlsClientOptions } from "../../src/net/index.js";
import { closeThreadDriver } from "../../src/runtime/thread-driver.js";
import { CERTIFICATE, CERTIFICATE_KEY, OTHER_CERTIFICATE, OTHER_KEY } from "../support/certificate.js";
import { within } from "../support/signal.js";

const TRUSTING: TlsClientOptions = { ca: CERTIFICATE };
const MIB = 1024 * 1024;

after(() => closeThreadDriver());

async function withServer(
  handler: (socket: TLSSocket) => void,
  body: (port: number) => Promise<void>,
  options: TlsOptions = {},
): Promise<void> {
  const sockets = new Set<TLSSocket>();
  const given = { cert: CERTIFICATE, key: CERTIFICATE_KEY, allowHalfOpen: true, ...options };
  const server = createServer(given, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    handler(socket);
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await within("the body of the test", body((server.address() as AddressInfo).port));
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function echo(socket: TLSSocket): void {
  socket.pipe(socket);
}

async function open(port: number, options: ConnectOptions = {}): Promise<NetStream> {
  return connect({ host: "localhost", port }, { timeoutMs: 10_000, tls: TRUSTING, ...options });
}

async function finish(stream: NetStream): Promise<void> {
  stream.close();
  await within("the stream to close", stream.closed);
}

describe("what connect() and startTls() refuse", () => {
  test("protocols that OpenSSL does not take, checks that are none, and no name", async () => {
    await withServer(echo, async (port) => {
      const wrong: readonly object[] = [{ alpn: [""] }, { alpn: "h2" }, { alpn: [] }, { checkServerIdentity: 1 }];
      for (const tls of wrong)
        await assert.rejects(open(port, { tls: { ...TRUSTING, ...tls } as TlsClientOptions }), {
          code: "ERR_RINGLOOM_INVALID_OPTION",
        });
      const plain = await connect({ host: "127.0.0.1", port });
      await assert.rejects(startTls(plain, { ...TRUSTING, servername: "" }), TypeError);
      await finish(plain);
    });
  });

  test("a certificate of another address, and what a check throws", async () => {
    await withServer(echo, async (port) => {
      const plain = await connect({ host: "127.0.0.1", port });
      await assert.rejects(startTls(plain, { ...TRUSTING, servername: "10.9.9.9" }), {
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
      const right = await connect({ host: "127.0.0.1", port });
      await finish(await startTls(right, { ...TRUSTING, servername: "127.0.0.1" }));
      const checkServerIdentity = (): Error => {
        throw new Error("a check that fails");
      };
      await assert.rejects(open(port, { tls: { ...TRUSTING, checkServerIdentity } }), { code: "EPROTO" });
    });
  });
});

describe("connect() with tls", { timeout: 60_000 }, () => {
  test("exchanges bytes with a server that it trusts, and says how", async () => {
    await withServer(
      echo,
      async (port) => {
        const stream = await open(port, { tls: { ...TRUSTING, alpn: ["nothing", "http/1.1"] } });
        await stream.writeAll("hello");
        assert.equal((await stream.readExact(5)).toString(), "hello");
        const info = stream.tls;
        assert.equal(info?.alpn, "http/1.1");
        assert.match(info?.protocol ?? "", /^TLSv1\.[23]$/);
        assert.equal(info?.isAuthorized, true);
        assert.equal(info?.peerCertificate?.subject.CN, "localhost");
        await finish(stream);
        assert.equal(stream.tls, undefined);
      },
      { ALPNProtocols: ["http/1.1"] },
    );
  });

  test("half-closes, and reads on what the server still sends", async () => {
    await withServer(
      (socket) => {
        let count = 0;
        socket.on("data", (bytes) => {
          count += bytes.length;
        });
        socket.on("end", () => socket.end(`got ${count}`));
      },
      async (port) => {
        const stream = await open(port);
        await stream.writeAll(Buffer.alloc(100_000, 1));
        await stream.end();
        const parts: Buffer[] = [];
        for await (const bytes of stream) parts.push(bytes);
        assert.equal(Buffer.concat(parts).toString(), "got 100000");
        await within("the end of both", stream.closed);
      },
    );
  });

  test("carries 8 MiB there and back without mixing anything up", async () => {
    await withServer(echo, async (port) => {
      const sent = randomBytes(8 * MIB);
      const stream = await open(port);
      const writing = stream.writeAll(sent).then(() => stream.end());
      const hash = createHash("sha256");
      let count = 0;
      await stream.recvSegments((bytes) => {
        hash.update(bytes);
        count += bytes.length;
      });
      await writing;
      assert.equal(count, sent.length);
      assert.equal(hash.digest("hex"), createHash("sha256").update(sent).digest("hex"));
    });
  });

  test("turns into a Duplex that says that it is encrypted", async () => {
    await withServer(echo, async (port) => {
      const duplex = (await open(port)).toDuplex();
      assert.equal(Reflect.get(duplex, "encrypted"), true);
      duplex.write("ping");
      const [bytes] = await once(duplex, "data");
      assert.equal(String(bytes), "ping");
      duplex.destroy();
    });
  });

  test("shows a certificate of its own where the server asks for one", async () => {
    await withServer(
      (socket) => socket.end(String(socket.getPeerCertificate().subject.CN)),
      async (port) => {
        const stream = await open(port, { tls: { ...TRUSTING, cert: OTHER_CERTIFICATE, key: OTHER_KEY } });
        assert.equal((await stream.read())?.toString(), "other.test");
        await finish(stream);
      },
      { requestCert: true, ca: OTHER_CERTIFICATE },
    );
  });

  test("refuses a certificate that nobody trusts, and one for another name, with the code of each", async () => {
    await withServer(echo, async (port) => {
      await assert.rejects(open(port, { tls: true }), { code: "DEPTH_ZERO_SELF_SIGNED_CERT", name: "RingloomError" });
      await assert.rejects(open(port, { tls: { ...TRUSTING, servername: "example.org" } }), {
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
      const careless = await open(port, { tls: { rejectUnauthorized: false } });
      assert.equal(careless.tls?.isAuthorized, false);
      assert.equal(careless.tls?.authorizationError, "DEPTH_ZERO_SELF_SIGNED_CERT");
      await finish(careless);
    });
  });

  test("fails with a code where the server does not speak TLS, or no version that is spoken here", async () => {
    const plain = createPlain((socket) => socket.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    plain.listen(0, "127.0.0.1");
    await once(plain, "listening");
    const { port } = plain.address() as AddressInfo;
    await assert.rejects(open(port), (error: { code?: string }) => /^ERR_SSL_/.test(error.code ?? ""));
    plain.close();
    await withServer(
      echo,
      async (old) => {
        await assert.rejects(open(old, { tls: { ...TRUSTING, minVersion: "TLSv1.3" } }), (error: { code?: string }) =>
          /^ERR_SSL_/.test(error.code ?? ""),
        );
      },
      { maxVersion: "TLSv1.2" },
    );
  });

  test("gives up a handshake that takes too long, or that nobody wants any more", async () => {
    const silent = createPlain((socket) => void socket.on("error", () => undefined));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const gone = once(silent, "connection").then(([socket]) => once(socket.resume(), "close"));
    await assert.rejects(open(port, { timeoutMs: 50 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    await within("the socket to close", gone);
    const abort = new AbortController();
    const waiting = open(port, { signal: abort.signal });
    abort.abort();
    await assert.rejects(waiting, { code: "ERR_RINGLOOM_ABORTED" });
    silent.close();
  });

  test("rejects with the kernel's code where nobody listens", async () => {
    const plain = createPlain().listen(0, "127.0.0.1");
    await once(plain, "listening");
    const { port } = plain.address() as AddressInfo;
    plain.close();
    await once(plain, "close");
    await assert.rejects(connect({ port }, { tls: TRUSTING }), { code: "ECONNREFUSED" });
  });

  test("rejects options that are none before it connects", async () => {
    const port = 1;
    for (const tls of [{ cert: "x" }, { ca: "no pem", cert: "no pem", key: "no pem" }, { rejectUnauthorised: false }])
      await assert.rejects(open(port, { tls: tls as TlsClientOptions }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  });

  test("has no descriptor to release", async () => {
    await withServer(echo, async (port) => {
      const stream = await open(port);
      await assert.rejects(stream.release(), { code: "ERR_RINGLOOM_UNSUPPORTED" });
      await finish(stream);
    });
  });
});

test("startTls() begins TLS on a stream behind what was said in plain text", async () => {
  const secure = createServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (socket) => {
    socket.on("error", () => undefined);
    echo(socket);
  });
  const plain = createPlain((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("go\n");
      secure.emit("connection", socket);
    });
  });
  plain.listen(0, "127.0.0.1");
  await once(plain, "listening");
  const stream = await connect({ port: (plain.address() as AddressInfo).port }, { timeoutMs: 10_000 });
  await stream.writeAll("STARTTLS\n");
  assert.equal((await stream.readExact(3)).toString(), "go\n");
  const encrypted = await startTls(stream, { ...TRUSTING, servername: "localhost" }, { timeoutMs: 10_000 });
  const sent = randomBytes(300_000);
  const writing = encrypted.writeAll(sent);
  assert.deepEqual(await encrypted.readExact(sent.length), sent);
  await writing;
  await finish(encrypted);
  plain.close();
});
