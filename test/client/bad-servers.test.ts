/** Servers that break the rules, are slow, or go away: what the client says then, and that nothing of it is used again. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { detectLeaks } from "../../src/testing/index.js";
import { answering, rejection, until, withClient, withRawServer } from "./client-rig.js";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

describe("an answer that breaks the rules", () => {
  const bad: readonly [name: string, answer: string, code: string][] = [
    ["is no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", "ERR_RINGLOOM_BAD_RESPONSE"],
    ["is of another version", "HTTP/2.0 200 OK\r\n\r\n", "ERR_RINGLOOM_BAD_RESPONSE"],
    ["has no such status", "HTTP/1.1 099 Low\r\n\r\n", "ERR_RINGLOOM_BAD_RESPONSE"],
    [
      "has two lengths",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
      "ERR_RINGLOOM_BAD_RESPONSE",
    ],
    [
      "has a length and chunks",
      "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "ERR_RINGLOOM_BAD_RESPONSE",
    ],
    [
      "has chunks and a length",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
      "ERR_RINGLOOM_BAD_RESPONSE",
    ],
    [
      "has a transfer coding we do not know",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nxx",
      "ERR_RINGLOOM_BAD_RESPONSE",
    ],
    [
      "has chunks that are not last",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nxx",
      "ERR_RINGLOOM_BAD_RESPONSE",
    ],
    [
      "has chunks in HTTP/1.0",
      "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "ERR_RINGLOOM_BAD_RESPONSE",
    ],
    ["has a line without CR", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok", "ERR_RINGLOOM_BAD_RESPONSE"],
    ["folds a line", "HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n", "ERR_RINGLOOM_BAD_RESPONSE"],
    ["has a space before its colon", "HTTP/1.1 200 OK\r\na : b\r\n\r\n", "ERR_RINGLOOM_BAD_RESPONSE"],
    ["switches protocols", "HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "ERR_RINGLOOM_UNSUPPORTED"],
    ["has too many fields", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(300)}\r\n`, "ERR_RINGLOOM_TOO_LARGE"],
    ["has a field that is too long", `HTTP/1.1 200 OK\r\na: ${"b".repeat(70_000)}\r\n\r\n`, "ERR_RINGLOOM_TOO_LARGE"],
    ["never ends its head", `HTTP/1.1 200 ${"b".repeat(200_000)}`, "ERR_RINGLOOM_TOO_LARGE"],
    ["has interim answers without end", "HTTP/1.1 103 Early\r\n\r\n".repeat(17) + OK, "ERR_RINGLOOM_BAD_RESPONSE"],
  ];
  for (const [name, answer, code] of bad)
    test(name, async () => {
      await withRawServer(answering(answer), async (url) => {
        await withClient({}, async (client) => {
          const error = await rejection(client.request(url));
          assert.equal(error.code, code, error.message);
          assert.equal(client.stats.open, 0);
          assert.equal(client.stats.errors, 1);
        });
      });
    });

  test("in its body fails the body", async () => {
    const bodies = [
      "zz\r\nhello\r\n0\r\n\r\n",
      "5\r\nhello!\r\n0\r\n\r\n",
      "5;\u0001\r\nhello\r\n0\r\n\r\n",
      "ffffffffffffffffff\r\n",
    ];
    for (const body of bodies)
      await withRawServer(
        answering(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n${body}`),
        async (url) => {
          await withClient({}, async (client) => {
            const failure = client.request(url).then((response) => response.text());
            assert.equal((await rejection(failure)).code, "ERR_RINGLOOM_BAD_RESPONSE", JSON.stringify(body));
            assert.equal(client.stats.open, 0);
          });
        },
      );
  });
});

describe("an answer", () => {
  test("is read wherever it is cut", async () => {
    const answer =
      "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 Fine so\r\nA: 1\r\nempty:\r\nTransfer-Encoding: chunked\r\nZ:  last \r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n";
    await withRawServer(
      async ({ socket, nextHead }) => {
        socket.setNoDelay();
        for (;;) {
          const at = Number(/^GET \/(\d+)/.exec(await nextHead())?.[1]);
          socket.write(answer.slice(0, at));
          await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
          socket.write(answer.slice(at));
        }
      },
      async (url) => {
        await withClient({}, async (client) => {
          for (let at = 0; at <= answer.length; at++) {
            const response = await client.request(`${url}/${at}`);
            assert.equal(response.statusText, "Fine so", `cut at ${at}`);
            assert.equal(response.headers.get("z"), "last", `cut at ${at}`);
            const fields = [...response.headers].map(([name, value]) => `${name}=${value}`);
            assert.deepEqual(fields, ["a=1", "empty=", "transfer-encoding=chunked", "z=last"], `cut at ${at}`);
            assert.equal(await response.text(), "abcde", `cut at ${at}`);
            assert.equal(response.trailers.get("t"), "u", `cut at ${at}`);
          }
          assert.equal(client.stats.open, 1);
        });
      },
    );
  });

  test("without a length goes on until the end of the connection", async () => {
    await withRawServer(answering("HTTP/1.1 200 OK\r\n\r\nall of it", "end"), async (url) => {
      await withClient({}, async (client) => {
        assert.equal(await (await client.request(url)).text(), "all of it");
        assert.equal(client.stats.open, 0);
      });
    });
  });

  test("that is cut short is no whole one", async () => {
    const cut: readonly [string, "end" | "destroy", boolean][] = [
      ["HTTP/1.1 200 OK\r\ncontent-le", "end", false],
      ["", "end", false],
      ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "end", true],
      ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "end", true],
      ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "destroy", true],
    ];
    for (const [answer, then, hasHead] of cut)
      await withRawServer(answering(answer, then), async (url) => {
        await withClient({}, async (client) => {
          const requested = client.request(url);
          const failure = hasHead ? (await requested).text() : requested;
          const { code } = await rejection(failure);
          assert.ok(code === "ERR_RINGLOOM_UNEXPECTED_END" || code === "ECONNRESET", code);
          assert.equal(client.stats.open, 0);
        });
      });
  });

  test("with something behind it costs the connection, and what is behind is nobody's", async () => {
    const evil = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    for (const pauseMs of [0, 20])
      await withRawServer(
        async ({ socket, nextHead, index }) => {
          await nextHead();
          socket.write(index === 0 && pauseMs === 0 ? OK + evil : OK);
          if (index > 0 || pauseMs === 0) return;
          await delay(pauseMs);
          socket.write(evil);
        },
        async (url) => {
          await withClient({ idleMs: 600_000 }, async (client) => {
            assert.equal(await (await client.request(url)).text(), "ok");
            await until("the connection to be closed", () => client.stats.open === 0);
            assert.equal(await (await client.request(url)).text(), "ok");
          });
        },
      );
  });

  test("that says close, or is of HTTP/1.0, ends its connection", async () => {
    for (const answer of [OK.replace("content", "connection: close\r\ncontent"), OK.replace("1.1", "1.0")])
      await withRawServer(answering(answer), async (url) => {
        await withClient({}, async (client) => {
          assert.equal(await (await client.request(url)).text(), "ok");
          assert.equal(client.stats.open, 0);
        });
      });
  });
});

describe("a connection that was used before", () => {
  test("and is closed by its server, costs an idempotent request nothing", async () => {
    const heads: string[] = [];
    await withRawServer(
      async ({ socket, nextHead, index }) => {
        heads.push(await nextHead());
        socket.write(OK);
        if (index > 0) return;
        // The second request is not answered: as if the server had closed just before it came.
        heads.push(await nextHead());
        socket.destroy();
      },
      async (url) => {
        await withClient({}, async (client) => {
          assert.equal(await (await client.request(url)).text(), "ok");
          assert.equal(await (await client.request(url)).text(), "ok");
          assert.equal(heads.length, 3);
          assert.equal(client.stats.requests, 2);
        });
      },
    );
  });

  test("fails what may have had an effect, and what cannot be sent again", async () => {
    await withRawServer(
      async ({ socket, nextHead }) => {
        await nextHead();
        socket.write(OK);
        await nextHead();
        socket.destroy();
      },
      async (url) => {
        for (const options of [
          { method: "POST", body: "x" },
          { method: "PUT", body: Readable.from(["x"]) },
        ])
          await withClient({}, async (client) => {
            assert.equal(await (await client.request(url)).text(), "ok");
            const { code } = await rejection(client.request(url, options));
            assert.ok(code === "ERR_RINGLOOM_UNEXPECTED_END" || code === "ECONNRESET", code);
          });
      },
    );
  });

  test("fails a request of which an answer had begun", async () => {
    await withRawServer(
      async ({ socket, nextHead }) => {
        await nextHead();
        socket.write(OK);
        await nextHead();
        socket.end("HTTP/1.1 2");
      },
      async (url) => {
        await withClient({}, async (client) => {
          assert.equal(await (await client.request(url)).text(), "ok");
          assert.equal((await rejection(client.request(url))).code, "ERR_RINGLOOM_UNEXPECTED_END");
        });
      },
    );
  });

  test("is not used when it is too old, or its server names a shorter time", async () => {
    await withRawServer(answering(OK.replace("content", "keep-alive: timeout=1\r\ncontent")), async (url) => {
      await withClient({}, async (client) => {
        assert.equal(await (await client.request(url)).text(), "ok");
        assert.equal(client.stats.open, 0);
      });
    });
    await withRawServer(answering(OK), async (url) => {
      await withClient({ lifetimeMs: 1 }, async (client) => {
        await (await client.request(url)).text();
        await delay(5);
        await (await client.request(url)).text();
        await until("the old ones to be gone", () => client.stats.open <= 1);
      });
      await withClient({ idleMs: 20 }, async (client) => {
        await (await client.request(url)).text();
        assert.equal(client.stats.idle, 1);
        await until("the idle one to be closed", () => client.stats.open === 0);
      });
    });
  });
});

describe("a slow server", () => {
  const phases: readonly [phase: string, answer: string, timeouts: Record<string, number>][] = [
    ["headers", "", { headersMs: 30 }],
    ["headers", "HTTP/1.1 200 OK\r\na: ", { headersMs: 30 }],
    ["total", "", { totalMs: 30 }],
    ["body", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", { bodyMs: 30 }],
    ["total", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", { totalMs: 30 }],
  ];
  for (const [phase, answer, timeouts] of phases)
    test(`runs into ${Object.keys(timeouts)} behind ${answer.length} bytes`, async () => {
      await withRawServer(answering(answer), async (url, sockets) => {
        await withClient({}, async (client) => {
          const failure = client.request(url, { timeouts }).then((response) => response.text());
          const error = await rejection(failure);
          assert.equal(error.code, "ERR_RINGLOOM_TIMEOUT");
          assert.equal(error.details?.phase, phase);
          await until("the connection to be gone at the server", () => sockets.size === 0);
        });
      });
    });

  test("runs into connectMs while others have all connections", async () => {
    await withRawServer(answering(""), async (url) => {
      await withClient({ connectionsMax: 1, pendingMax: 1 }, async (client) => {
        const first = client.request(url);
        await until("a connection", () => client.stats.open === 1);
        const error = await rejection(client.request(url, { timeouts: { connectMs: 20 } }));
        assert.equal(error.details?.phase, "connect");
        const waiting = client.request(url);
        assert.equal((await rejection(client.request(url))).code, "ERR_RINGLOOM_OVERLOADED");
        client.destroy();
        await Promise.all([rejection(first), rejection(waiting)]);
      });
    });
  });
});

describe("an AbortSignal", () => {
  test("ends a request in every phase, costs its connection, and leaves no listener", async () => {
    await withRawServer(
      async ({ socket, nextHead }) => {
        const head = await nextHead();
        if (head.startsWith("GET /body")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello");
      },
      async (url, sockets) => {
        await detectLeaks(async () => {
          await withClient({ connectionsMax: 2 }, async (client) => {
            const reason = new Error("enough");
            assert.equal((await rejection(client.request(url, { signal: AbortSignal.abort(reason) }))).cause, reason);
            const controller = new AbortController();
            const { signal } = controller;
            const inBody = await client.request(`${url}/body`, { signal });
            assert.equal((await inBody.body.read())?.toString(), "hello");
            const noAnswer = rejection(client.request(url, { signal }));
            const noConnection = rejection(client.request(url, { signal }));
            const reading = rejection(inBody.body.read());
            await until("both connections", () => client.stats.open === 2 && sockets.size === 2);
            controller.abort(reason);
            for (const error of await Promise.all([noAnswer, noConnection, reading])) {
              assert.equal(error.code, "ERR_RINGLOOM_ABORTED");
              assert.equal(error.cause, reason);
            }
            assert.equal(client.stats.open, 0);
            await until("the connections to be gone at the server", () => sockets.size === 0);
          });
        });
      },
    );
  });

  test("and a body that is given up costs the connection", async () => {
    await withRawServer(answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"), async (url, sockets) => {
      await withClient({}, async (client) => {
        const response = await client.request(url);
        response.discard();
        assert.equal(client.stats.open, 0);
        for await (const chunk of (await client.request(url)).body) {
          assert.equal(chunk.toString(), "hello");
          break;
        }
        assert.equal(client.stats.open, 0);
        await until("the connections to be gone at the server", () => sockets.size === 0);
      });
    });
  });
});

describe("backpressure", () => {
  test("a body that nobody reads holds its server back", async () => {
    let written = 0;
    const size = 64 * 1024 * 1024;
    await withRawServer(
      async ({ socket, nextHead }) => {
        await nextHead();
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
        const piece = Buffer.alloc(256 * 1024);
        while (written < size) {
          written += piece.length;
          if (!socket.write(piece)) await new Promise((resolve) => socket.once("drain", resolve));
        }
      },
      async (url) => {
        await withClient({}, async (client) => {
          const response = await client.request(url);
          let before = -1;
          while (written !== before) {
            before = written;
            await delay(50);
          }
          assert.ok(written < size, "the server was held back");
          let length = 0;
          for await (const chunk of response.body) length += chunk.length;
          assert.equal(length, size);
          assert.equal(client.stats.idle, 1);
        });
      },
    );
  });

  test("a server that does not read holds the source back", async () => {
    const piece = Buffer.alloc(64 * 1024);
    const size = 48 * 1024 * 1024;
    await withRawServer(
      async ({ socket, nextHead }) => {
        await nextHead();
        socket.pause();
        await delay(100);
        socket.removeAllListeners("data");
        let tail = "";
        socket.on("data", (chunk: Buffer) => {
          tail = (tail + chunk.subarray(-5).toString()).slice(-5);
          if (tail === "0\r\n\r\n") socket.write(OK);
        });
        socket.resume();
      },
      async (url) => {
        await withClient({}, async (client) => {
          let given = 0;
          async function* source() {
            for (; given < size; given += piece.length) yield piece;
          }
          const asked = client.request(url, { method: "POST", body: source() });
          await delay(60);
          assert.ok(given < size, "the source was held back");
          assert.equal(await (await asked).text(), "ok");
          assert.equal(given, size);
        });
      },
    );
  });
});

test("many requests that fail in many ways leave no descriptor and no listener", {
  skip: process.platform !== "linux",
}, async () => {
  const count = (): number => readdirSync("/proc/self/fd").length;
  const answers = [OK, "nonsense\r\n", "", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", OK + OK];
  await withRawServer(
    async ({ socket, nextHead, index }) => {
      await nextHead();
      socket.write(answers[index % answers.length] ?? "");
      if (index % 2 === 0) socket.end();
    },
    async (url) => {
      const round = (): Promise<void> =>
        withClient({ connectionsMax: 8 }, async (client) => {
          const options = { timeouts: { totalMs: 100 }, signal: new AbortController().signal };
          const asking = Array.from({ length: 50 }, async () => (await client.request(url, options)).text());
          const outcomes = await Promise.allSettled(asking);
          assert.ok(outcomes.some(({ status }) => status === "fulfilled"));
          assert.ok(outcomes.some(({ status }) => status === "rejected"));
        });
      await round();
      const before = count();
      for (let index = 0; index < 4; index++) await detectLeaks(round);
      await until("the descriptors to be given back", () => count() <= before + 2);
    },
  );
});

test("a name that is not there, and a port where nobody listens", async () => {
  await withClient({ connectAttemptsMax: 2 }, async (client) => {
    assert.equal((await rejection(client.request("http://127.0.0.1:1/"))).code, "ECONNREFUSED");
    const resolver = async () => Promise.reject(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }));
    await withClient({ resolver }, async (other) => {
      await assert.rejects(other.request("http://nowhere.invalid/"), { code: "ENOTFOUND" });
    });
  });
});

describe("a proxy that breaks off", () => {
  test("fails the request, and nothing else", async () => {
    for (const answer of ["HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 Go\r\n\r\n"]) {
      await withRawServer(
        async ({ socket, nextHead }) => {
          await nextHead();
          socket.write(answer);
          socket.resetAndDestroy();
        },
        async (proxy) => {
          await withClient({ proxy }, async (client) => {
            for (let count = 0; count < 10; count++) {
              const error = await rejection(
                client.request("https://secret.test/", { timeouts: { connectMs: 10_000 } }),
              );
              assert.notEqual(error.code, "ERR_RINGLOOM_TIMEOUT");
            }
          });
        },
      );
    }
  });
});

describe("a body that is given up while it is read", () => {
  test("is no short one", async () => {
    const half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc";
    await withRawServer(answering(half), async (url) => {
      await withClient({}, async (client) => {
        const response = await client.request(url);
        const text = rejection(response.text());
        response.discard();
        assert.equal((await text).code, "ERR_RINGLOOM_ABORTED");
      });
    });
  });
});

describe("a head that drips", () => {
  test("runs into headersMs however often a byte of it comes", async () => {
    await withRawServer(
      async ({ socket, nextHead }) => {
        await nextHead();
        socket.write("HTTP/1.1 200 OK\r\na: ");
        while (!socket.destroyed) {
          socket.write("b");
          await delay(20);
        }
      },
      async (url) => {
        await withClient({ timeouts: { headersMs: 200 } }, async (client) => {
          assert.equal((await rejection(client.request(url))).code, "ERR_RINGLOOM_TIMEOUT");
        });
      },
    );
  });
});
