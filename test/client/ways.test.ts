/** Ways to a server: TLS, proxies, other threads; and that an idle client keeps no process alive. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect as connectNode, createServer, type Server } from "node:net";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";
import { within } from "../support/signal.js";
import { rejection, until, withClient, withHttpServer } from "./client-rig.js";

const clientModule = new URL("../../src/client/index.js", import.meta.url).href;

async function withServer(server: Server, body: (port: number) => Promise<void>): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    (server as Partial<{ closeAllConnections(): void }>).closeAllConnections?.();
    server.close();
  }
}

function secureServer(): Server {
  return createHttpsServer({ cert: CERTIFICATE, key: CERTIFICATE_KEY }, (request, response) => {
    request.pipe(response);
    if (request.method === "GET") response.end("secret");
  }) as unknown as Server;
}

describe("https:", () => {
  test("works with a certificate that is trusted, keeps its connection, and streams", async () => {
    await withServer(secureServer(), async (port) => {
      await withClient({ tls: { ca: CERTIFICATE } }, async (client) => {
        for (const host of ["127.0.0.1", "localhost"])
          for (let index = 0; index < 2; index++)
            assert.equal(await (await client.request(`https://${host}:${port}/`)).text(), "secret");
        assert.equal(client.stats.open, 2);
        async function* source() {
          for (let index = 0; index < 40; index++) yield Buffer.alloc(50_000, index);
        }
        const echoed = await client.request(`https://localhost:${port}/`, { method: "POST", body: source() });
        assert.equal((await echoed.bytes()).length, 2_000_000);
        assert.equal(client.stats.idle, 2);
      });
    });
  });

  test("refuses a certificate that is not trusted, or is another's, and a server without TLS", async () => {
    await withServer(secureServer(), async (port) => {
      await withClient({}, async (client) => {
        const error = await rejection(client.request(`https://127.0.0.1:${port}/`));
        assert.match(error.code, /SELF_SIGNED|UNABLE_TO_VERIFY/);
        assert.equal(client.stats.open, 0);
      });
      const resolver = async () => ["127.0.0.1"];
      await withClient({ tls: { ca: CERTIFICATE }, resolver }, async (client) => {
        const error = await rejection(client.request(`https://other.test:${port}/`));
        assert.equal(error.code, "ERR_TLS_CERT_ALTNAME_INVALID");
      });
    });
    await withHttpServer(
      (_request, response) => response.end(),
      async (url) => {
        await withClient({ connectAttemptsMax: 1 }, async (client) => {
          const { code } = await rejection(client.request(url.replace("http:", "https:")));
          assert.match(code, /^(ERR_SSL_|EPROTO|ECONNRESET|ERR_RINGLOOM_UNEXPECTED_END)/);
        });
      },
    );
  });

  test("a handshake that does not go on runs into connectMs", async () => {
    const sockets = new Set<unknown>();
    const silent = createServer((socket) => {
      sockets.add(socket);
      socket.resume();
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
    await withServer(silent, async (port) => {
      await withClient({}, async (client) => {
        const asked = client.request(`https://127.0.0.1:${port}/`, { timeouts: { connectMs: 40 } });
        assert.equal((await rejection(asked)).details?.phase, "connect");
        await until("the socket to be gone at the server", () => sockets.size === 0);
      });
    });
  });
});

describe("a proxy", () => {
  /** A proxy that forwards plain requests by itself and tunnels the others to `port`, whatever host they name. */
  function proxyServer(port: number, seen: string[]): Server {
    const proxy = createHttpServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers["proxy-authorization"]}`);
      response.end("by proxy");
    });
    proxy.on("connect", (request, socket) => {
      seen.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"]}`);
      socket.on("error", () => {});
      if (request.url?.startsWith("forbidden")) return socket.end("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
      const onward = connectNode(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connected\r\n\r\n");
        onward.pipe(socket).pipe(onward);
      });
      onward.on("error", () => socket.destroy());
      socket.on("close", () => onward.destroy());
    });
    return proxy as unknown as Server;
  }

  test("gets plain requests as a whole and tunnels the others, with its password, unless they are excepted", async () => {
    const seen: string[] = [];
    await withServer(secureServer(), async (port) => {
      await withServer(proxyServer(port, seen), async (proxyPort) => {
        const proxy = {
          http: `http://me:p%40ss@127.0.0.1:${proxyPort}`,
          https: `http://me:p%40ss@127.0.0.1:${proxyPort}`,
          no: "localhost",
        };
        const password = `Basic ${Buffer.from("me:p@ss").toString("base64")}`;
        await withClient({ proxy, tls: { ca: CERTIFICATE, servername: "localhost" } }, async (client) => {
          assert.equal(await (await client.request("http://plain.test/a?b")).text(), "by proxy");
          assert.equal(await (await client.request("https://secret.test:444/")).text(), "secret");
          assert.equal(await (await client.request("https://secret.test:444/")).text(), "secret");
          assert.equal(await (await client.request(`https://localhost:${port}/`)).text(), "secret");
          const refused = await rejection(client.request("https://forbidden.test/"));
          assert.equal(refused.code, "ERR_RINGLOOM_PROXY_REFUSED");
          assert.match(refused.message, /403/);
        });
        assert.deepEqual(seen, [
          `GET http://plain.test/a?b plain.test ${password}`,
          `CONNECT secret.test:444 ${password}`,
          `CONNECT forbidden.test:443 ${password}`,
        ]);
      });
    });
  });
});

describe("a thread", () => {
  test("of worker_threads can ask, too", async () => {
    await withHttpServer(
      (_request, response) => response.end("thread"),
      async (url) => {
        const source = `import(${JSON.stringify(clientModule)}).then(async ({ request }) => {
          const { parentPort } = await import("node:worker_threads");
          parentPort.postMessage(await (await request(${JSON.stringify(url)})).text());
        });`;
        const worker = new Worker(source, { eval: true });
        const ended = once(worker, "exit");
        const [text] = (await within("its answer", once(worker, "message"))) as [string];
        assert.equal(text, "thread");
        await within("the thread to end by itself", ended);
      },
    );
  });

  test("a program ends when its requests are over, with connections that are idle", async () => {
    await withHttpServer(
      (_request, response) => response.end("bye"),
      async (url, server) => {
        server.keepAliveTimeout = 60_000;
        const source = `import { HttpClient } from ${JSON.stringify(clientModule)};
          const client = new HttpClient({ idleMs: 600_000, proxy: false });
          const ask = async () => (await client.request(${JSON.stringify(url)})).text();
          console.log(await ask(), await ask(), client.stats.idle);`;
        const args = ["--input-type=module", "-e", source];
        const { stdout } = await within(
          "the program to end",
          promisify(execFile)(process.execPath, args, { timeout: 15_000 }),
        );
        assert.equal(stdout, "bye bye 1\n");
      },
    );
  });
});
