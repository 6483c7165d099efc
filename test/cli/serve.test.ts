import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { portSharing } from "../../src/runtime/listeners.js";
import type { RuntimeStats } from "../../src/runtime/stats.js";
import { driversUnderTest } from "../support/drivers.js";
import { Load } from "./load.js";
import { DEMO, fixture, Ringloom, run, withServe } from "./ringloom.js";

const PLAIN = fixture("plain.js");
const STOPPED = /^stopped: (\d+) shards? drained in \d+ ms, (\d+) requests? finished, (\d+) cut \(/m;

const { isPossible, reason } = portSharing();
const TWO_SHARDS = { skip: isPossible ? false : reason };

function portOf(url: string): number {
  return Number(new URL(url).port);
}

for (const { name: driver, skip } of driversUnderTest) {
  describe(`ringloom serve on the ${driver} driver`, { skip }, () => {
    const ARGS = ["--port", "0", "--driver", driver];

    test("prints a table and then the line that says where it listens", async () => {
      await withServe([PLAIN, ...ARGS, "--shards", "1"], {}, async (server, url) => {
        const lines = server.stdout.trimEnd().split("\n");
        assert.equal(lines.length, 8, server.stdout);
        assert.equal(lines[0], `  url     ${url}`);
        assert.match(lines[1] ?? "", new RegExp(`^ {2}driver {2}${driver}: It was asked for\\..*$`));
        assert.match(
          lines[2] ?? "",
          /^ {2}shards {2}1 \(as asked\), spin (adaptive|off) \(.+\), at most 10 restarts in 60 s$/,
        );
        assert.match(
          lines[3] ?? "",
          /^ {2}tasks {3}io\+compute: \d+ compute threads? at nice 10 \(half of the CPUs, at least 1\), started with the first task$/,
        );
        assert.match(
          lines[4] ?? "",
          /^ {2}memory {2}.+iB allowed \((machine|cgroup v[12])\); up to \d+ connections a shard$/,
        );
        assert.match(
          lines[5] ?? "",
          /^ {2}budget {2}Node 36 MiB \+ 1 shard of .+iB to spare \(messages take up to .+iB of it\)/,
        );
        assert.equal(lines[6], `  pid     ${server.child.pid}`);
        assert.equal(lines[7], `listening ${url}`);
        assert.equal(await (await fetch(`${url}/x`)).text(), "at /x");
      });
    });

    test("prints one JSON object a line with --json", async () => {
      const server = new Ringloom(["serve", PLAIN, ...ARGS, "--json"]);
      const [line] = await server.said(/^\{.*"event":"listening".*\}$/m);
      const listening: Record<string, unknown> = JSON.parse(line);
      assert.equal(listening.driver, driver);
      assert.equal(listening.pid, server.child.pid);
      assert.equal(await (await fetch(`${String(listening.url)}/x`)).text(), "at /x");
      assert.equal(await server.stop(), 0);
      const events = server.stdout
        .trimEnd()
        .split("\n")
        .map((text) => JSON.parse(text) as Record<string, unknown>);
      assert.deepEqual(
        events.map((event) => event.event),
        ["listening", "signal", "stopped"],
      );
      assert.equal(events[2]?.exitCode, 0);
      assert.equal(server.stderr, "");
    });

    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`ends with code 0 and a report line when ${signal} comes and nothing is going on`, async () => {
        await withServe([PLAIN, ...ARGS, "--shards", "1"], {}, async (server, url) => {
          await (await fetch(`${url}/x`)).text();
          assert.equal(await server.stop(signal), 0);
          const [, shards, , cut] = STOPPED.exec(server.stdout) ?? [];
          assert.deepEqual([shards, cut], ["1", "0"], server.stdout);
        });
      });
    }

    test("answers every request that it accepted when SIGTERM comes under load, and exits with code 0", async () => {
      await withServe([PLAIN, ...ARGS], {}, async (server, url) => {
        const load = new Load(portOf(url), 64, ["/a", "/slow", "/b", "/slow", "/c"]);
        await load.reached(2_000);
        const code = await server.stop();
        await load.finished();
        assert.deepEqual(load.lost, []);
        assert.deepEqual(load.wrong, []);
        assert.equal(code, 0, server.stderr);
        const [, , finished, cut] = STOPPED.exec(server.stdout) ?? [];
        assert.ok(Number(finished) > 0, server.stdout);
        assert.equal(cut, "0");
      });
    });

    test("cuts what is left when the deadline passes, says so, and exits with code 1", async () => {
      await withServe([PLAIN, ...ARGS, "--drain-ms", "100", "--shards", "1"], {}, async (server, url) => {
        const lost = assert.rejects(fetch(`${url}/never`));
        await (await fetch(`${url}/x`)).text();
        assert.equal(await server.stop(), 1);
        await lost;
        assert.equal(STOPPED.exec(server.stdout)?.[3], "1", server.stdout);
      });
    });

    test("cuts what is left when a second signal comes", async () => {
      await withServe([PLAIN, ...ARGS, "--shards", "1"], {}, async (server, url) => {
        const lost = assert.rejects(fetch(`${url}/never`));
        await (await fetch(`${url}/x`)).text();
        server.child.kill("SIGTERM");
        await server.complained(/SIGTERM: finishing what was begun/);
        assert.equal(await server.stop("SIGINT"), 1);
        await lost;
        assert.match(server.stderr, /SIGINT: cutting what is left/);
      });
    });

    test(
      "stops, names the error with its stack, and exits with code 3 when a shard dies and may not be replaced",
      TWO_SHARDS,
      async () => {
        await withServe([PLAIN, ...ARGS, "--shards", "2", "--restarts-max", "0"], {}, async (server, url) => {
          await fetch(`${url}/die`).catch(() => undefined);
          assert.equal(await server.ended(), 3);
          assert.match(server.stderr, /^shard [01] ended unexpectedly \(exit code 1\); the server stops$/m);
          assert.match(server.stderr, /Error: asked to die\n.* at fail .*plain\.js/);
          assert.match(server.stdout, /^stopped: 1 of 2 shards drained in /m);
        });
      },
    );

    test("serves on both of two shards, which share their statistics", TWO_SHARDS, async () => {
      await withServe([DEMO, ...ARGS, "--shards", "2"], {}, async (server, url) => {
        const seen = new Set<number>();
        let stats: RuntimeStats & { requests: number };
        do {
          const response = await fetch(`${url}/stats`, { headers: { connection: "close" } });
          stats = (await response.json()) as RuntimeStats & { requests: number };
          seen.add(stats.shard);
        } while (seen.size < 2 || stats.shards.length !== 2);
        assert.equal(stats.driver, driver);
        assert.ok(stats.requests >= 2);
        assert.ok(stats.memory.rssBytes > 0);
        assert.equal(await server.stop(), 0);
      });
    });

    test("takes limits from the module, and stronger ones from the command line and the environment", async () => {
      const body = { method: "POST", body: "x".repeat(1_500) };
      await withServe([PLAIN, ...ARGS, "--shards", "1"], {}, async (_, url) => {
        assert.equal((await fetch(url, body)).status, 413);
      });
      await withServe([PLAIN, ...ARGS, "--shards", "1", "--body-bytes-max", "2000"], {}, async (_, url) => {
        assert.equal(await (await fetch(url, body)).text(), "1500");
      });
      const environment = { RINGLOOM_BODY_BYTES_MAX: "2000" };
      await withServe([PLAIN, ...ARGS, "--shards", "1"], { environment }, async (_, url) => {
        assert.equal(await (await fetch(url, body)).text(), "1500");
      });
    });

    test("says that the port is in use when it is, by a stranger or by another ringloom", async () => {
      const stranger = createServer().listen(0, "127.0.0.1");
      await once(stranger, "listening");
      const address = stranger.address();
      assert.ok(typeof address === "object" && address !== null);
      const refusal =
        /^ringloom: Cannot listen: EADDRINUSE \(host 127\.0\.0\.1, port \d+\) \[EADDRINUSE\]\n.*--port 0 takes a free one\.\n$/;
      const first = await run(["serve", PLAIN, "--driver", driver, "--port", String(address.port)]);
      stranger.close();
      assert.match(first.stderr, refusal);
      assert.equal(first.code, 1);
      await withServe([PLAIN, ...ARGS], {}, async (_, url) => {
        const second = await run(["serve", PLAIN, "--driver", driver, "--port", String(portOf(url))]);
        assert.match(second.stderr, refusal);
        assert.equal(second.code, 1);
      });
    });
  });
}

test("ringloom serve takes the port from PORT, and rather from --port", async () => {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const address = holder.address();
  assert.ok(typeof address === "object" && address !== null);
  const free = address.port;
  await new Promise((resolve) => holder.close(resolve));
  const environment = { PORT: String(free) };
  await withServe([PLAIN, "--shards", "1"], { environment }, async (_, url) => {
    assert.equal(portOf(url), free);
    await withServe([PLAIN, "--shards", "1", "--port", "0"], { environment }, async (_other, other) => {
      assert.notEqual(portOf(other), free);
    });
  });
});

const unloadable: [module: string, what: string, message: RegExp][] = [
  [fixture("missing.js"), "does not exist", /missing\.js: there is no such file\. \[ERR_RINGLOOM_MODULE_LOAD\]/],
  [fixture("."), "is a folder", /it is a folder; name the file\. \[ERR_RINGLOOM_MODULE_LOAD\]/],
  [
    fixture("throws.js"),
    "throws while it loads",
    /throws\.js: it threw TypeError: no database there\. \[ERR_RINGLOOM_MODULE_LOAD\]\n {2}TypeError: no database there\n {6}at connectToDatabase .*throws\.js:\d+/,
  ],
  [
    fixture("no-default.js"),
    "has no default export",
    /no default export \(only app\)\. \[ERR_RINGLOOM_NOT_AN_APP\]\nExport an App or/,
  ],
  [
    fixture("not-an-app.js"),
    "exports something else",
    /not-an-app\.js: .* \[ERR_RINGLOOM_NOT_AN_APP\]\nExport an App or/,
  ],
  [fixture("exits.js"), "ends its thread", /ended with exit code 3 before it served.* \[ERR_RINGLOOM_SHARD_FAILED\]/],
];

for (const [module, what, message] of unloadable) {
  test(`ringloom serve says what is wrong, once, and exits with code 1 when the module ${what}`, async () => {
    const { code, stdout, stderr } = await run(["serve", module, "--port", "0"]);
    assert.match(stderr, message);
    assert.equal(stderr.match(/^ringloom: /gm)?.length, 1, stderr);
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });
}

test("ringloom serve prints a failure as JSON with --json", async () => {
  const { code, stdout, stderr } = await run(["serve", fixture("throws.js"), "--port", "0", "--json"]);
  const event: Record<string, unknown> = JSON.parse(stdout);
  assert.equal(event.event, "failed");
  assert.equal(event.code, "ERR_RINGLOOM_MODULE_LOAD");
  assert.match(String(event.text), /connectToDatabase/);
  assert.equal(stderr, "");
  assert.equal(code, 1);
});

test("ringloom serve runs a TypeScript module, or says what to do where Node cannot", async () => {
  const source = fileURLToPath(new URL("../../../test/cli/fixtures/plain.ts", import.meta.url));
  const canStrip = Boolean(Reflect.get(process.features, "typescript"));
  if (canStrip) {
    await withServe([source, "--port", "0", "--shards", "1"], {}, async (_, url) => {
      assert.equal(await (await fetch(`${url}/x`)).text(), "at /x");
    });
    return;
  }
  const { code, stderr } = await run(["serve", source, "--port", "0"]);
  assert.match(
    stderr,
    /plain\.ts: Node \S+ does not load TypeScript\. Compile it and serve the \.js file, use Node 22\.18 or newer, or give a loader/,
  );
  assert.equal(code, 1);
});

test("ringloom serve listens on an IPv6 address when it is told to", async (t) => {
  const probe = createServer().listen(0, "::1");
  const isThere = await Promise.race([
    once(probe, "listening").then(() => true),
    once(probe, "error").then(() => false),
  ]);
  probe.close();
  if (!isThere) return t.skip("this machine has no ::1");
  await withServe([PLAIN, "--host", "::1", "--port", "0", "--shards", "1"], {}, async (_, url) => {
    assert.match(url, /^http:\/\/\[::1\]:\d+$/);
    assert.equal(await (await fetch(`${url}/x`)).text(), "at /x");
  });
});

test("ringloom serve pins its shards when --cpu auto is given, or says that this needs the addon", async () => {
  const server = new Ringloom(["serve", PLAIN, "--port", "0", "--cpu", "auto"]);
  const outcome = await Promise.race([server.listening().then(() => "serves"), server.ended()]).catch(() => "refused");
  if (outcome === "serves") assert.equal(await server.stop(), 0);
  else assert.match(server.stderr, /pinning needs the addon/);
});
