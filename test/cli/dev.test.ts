import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { SERVE_ONLY } from "../../src/cli/dev-options.js";
import { RUNTIME_OPTIONS } from "../../src/runtime/options.js";
import { DevFolder } from "../support/dev-folder.js";
import { driversUnderTest } from "../support/drivers.js";
import { Ringloom, run, type Settings } from "./ringloom.js";

const APP = `import { App } from "ringloom/http";
import { word } from "./word.js";
const app = new App();
app.get("/", (c) => c.text(word));
app.get("/crash", (c) => {
  setTimeout(() => { throw new Error("planted crash"); });
  return c.text("soon");
});
app.get("/exit", () => process.exit(3));
app.get("/loop", () => { for (;;); });
export default app;
`;

const NO_ADDON = { environment: { RINGLOOM_ADDON: "/nonexistent/ringloom.node", RINGLOOM_DRIVER: undefined } };

interface Started {
  readonly folder: DevFolder;
  readonly ringloom: Ringloom;
  readonly url: string;
}

async function withDev(
  { files = {}, args = [], settings = {} }: { files?: Record<string, string>; args?: string[]; settings?: Settings },
  use: (started: Started) => Promise<void>,
): Promise<void> {
  const folder = new DevFolder({ "app.js": APP, "word.js": word("one"), ...files });
  const ringloom = new Ringloom(["dev", folder.file("app.js"), "--port", "0", ...args], settings);
  try {
    await use({ folder, ringloom, url: await ringloom.listening() });
  } finally {
    if (ringloom.child.exitCode === null && ringloom.child.signalCode === null) ringloom.child.kill("SIGKILL");
    await ringloom.ended();
    folder.remove();
  }
}

function word(text: string): string {
  return `export const word = ${JSON.stringify(text)};\n`;
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { headers: { connection: "close" } });
  return await response.text();
}

/** Resolves when `dev` has become ready `count` times. */
function readyTimes(ringloom: Ringloom, count: number): Promise<unknown> {
  return ringloom.said(new RegExp(`(?:^ready[\\s\\S]*?){${count}}`, "m"));
}

const places: [name: string, skip: string | false, args: string[], settings: Settings][] = [
  ...driversUnderTest.map(({ name, skip }): [string, string | false, string[], Settings] => [
    `on the ${name} driver`,
    skip,
    ["--driver", name],
    {},
  ]),
  ["without the addon", false, [], NO_ADDON],
];

for (const [place, skip, args, settings] of places) {
  describe(`ringloom dev ${place}`, { skip }, () => {
    test("serves, and serves the new text after an imported file was written or replaced", async () => {
      await withDev({ args, settings }, async ({ folder, ringloom, url }) => {
        assert.equal(await get(url), "one");
        await readyTimes(ringloom, 1);
        folder.write("word.js", word("two"));
        await readyTimes(ringloom, 2);
        assert.equal(await get(url), "two");
        folder.replace("word.js", word("three"));
        await readyTimes(ringloom, 3);
        assert.equal(await get(url), "three");
        assert.match(ringloom.stdout, /^restart: .*word\.js changed$/m);
        assert.equal(await ringloom.stop("SIGINT"), 0);
        assert.match(ringloom.stdout, /^stopped$/m);
      });
    });

    test("lets requests wait while the module does not load, and while it is loaded again", async () => {
      await withDev({ args, settings }, async ({ folder, ringloom, url }) => {
        assert.equal(await get(url), "one");
        folder.write("word.js", 'export const word = "tw');
        await ringloom.complained(/^waiting for a change/m);
        const waiting = [get(url), get(url), get(url)];
        folder.write("word.js", word("two"));
        assert.deepEqual(await Promise.all(waiting), ["two", "two", "two"]);
      });
    });

    test("loses no request over four restarts", async () => {
      await withDev({ args, settings }, async ({ folder, ringloom, url }) => {
        await readyTimes(ringloom, 1);
        const seen = new Set<string>();
        let isOver = false;
        const client = (async () => {
          while (!isOver) seen.add(await get(url));
        })();
        for (let index = 1; index <= 4; index++) {
          folder.write("word.js", word(String(index)));
          await readyTimes(ringloom, index + 1);
        }
        isOver = true;
        await client;
        assert.equal(await get(url), "4");
        assert.ok(seen.size > 1, "requests were served between restarts");
      });
    });
  });
}

test("ringloom dev prints a syntax error with its file and line, and its place", async () => {
  await withDev({ files: { "word.js": "export const good = 1;\nexport const word = 'x;\n" } }, async ({ ringloom }) => {
    await ringloom.complained(/ERR_RINGLOOM_MODULE_LOAD/);
    await ringloom.complained(/word\.js:2\nexport const word = 'x;\n/);
  });
});

test("ringloom dev notices the file that was missing when it is made, and when it goes and comes back", async () => {
  await withDev({}, async ({ folder, ringloom, url }) => {
    await readyTimes(ringloom, 1);
    folder.delete("word.js");
    await ringloom.complained(/Cannot find module .*word\.js/);
    await ringloom.complained(/^waiting for a change/m);
    folder.write("word.js", word("back"));
    assert.equal(await get(url), "back");
    folder.write("app.js", APP.replace("./word.js", "./deep/down/word.js"));
    await ringloom.complained(/Cannot find module .*deep/);
    folder.write("deep/down/word.js", word("deep"));
    assert.equal(await get(url), "deep");
  });
});

test("ringloom dev restarts for a CommonJS file, and for what --watch-path names", async () => {
  const files = {
    "word.js":
      'import common from "./common.cjs";\nimport { readFileSync } from "node:fs";\nexport const word = common.word + readFileSync(new URL("./views/page.txt", import.meta.url), "utf8");\n',
    "common.cjs": 'exports.word = require("./inner.cjs");\n',
    "inner.cjs": 'module.exports = "inner ";\n',
    "views/page.txt": "page",
  };
  const folder = new DevFolder({ "app.js": APP, ...files });
  const args = ["dev", folder.file("app.js"), "--port", "0", "--watch-path", folder.file("views")];
  const ringloom = new Ringloom(args);
  try {
    const url = await ringloom.listening();
    await readyTimes(ringloom, 1);
    assert.equal(await get(url), "inner page");
    folder.write("inner.cjs", 'module.exports = "other ";\n');
    await readyTimes(ringloom, 2);
    assert.equal(await get(url), "other page");
    folder.write("views/new/more.txt", "");
    await readyTimes(ringloom, 3);
    folder.write("views/page.txt", "view");
    await readyTimes(ringloom, 4);
    assert.equal(await get(url), "other view");
  } finally {
    ringloom.child.kill("SIGKILL");
    await ringloom.ended();
    folder.remove();
  }
});

test("ringloom dev --watch-poll-ms finds a change without being told", async () => {
  await withDev({ args: ["--watch-poll-ms", "50"] }, async ({ folder, ringloom, url }) => {
    await readyTimes(ringloom, 1);
    folder.write("word.js", word("two"));
    await readyTimes(ringloom, 2);
    assert.equal(await get(url), "two");
  });
});

test("ringloom dev waits after a shard that died young, says why, and starts again on r and Enter", async () => {
  await withDev({ settings: { stdin: "pipe" } }, async ({ ringloom, url }) => {
    await readyTimes(ringloom, 1);
    await get(`${url}/crash`).catch(() => undefined);
    await ringloom.complained(/planted crash[\s\S]*app\.js:6/);
    await ringloom.complained(/^waiting for a change, or r and Enter$/m);
    const waiting = get(url);
    ringloom.child.stdin?.write("r\n");
    assert.equal(await waiting, "one");
    await get(`${url}/exit`).catch(() => undefined);
    await ringloom.complained(/exit code 3 while it served\. Does the module call process\.exit\?/);
  });
});

test("ringloom dev replaces a shard that is in an endless loop", async () => {
  await withDev({ args: ["--drain-ms", "100"] }, async ({ folder, ringloom, url }) => {
    await readyTimes(ringloom, 1);
    const lost = get(`${url}/loop`).then(
      () => "answered",
      () => "lost",
    );
    folder.write("word.js", word("two"));
    assert.equal(await lost, "lost");
    await readyTimes(ringloom, 2);
    assert.equal(await get(url), "two");
  });
});

test("ringloom dev keeps no descriptor of a shard that is gone", { skip: process.platform !== "linux" }, async () => {
  await withDev({ settings: { stdin: "pipe" } }, async ({ ringloom }) => {
    await readyTimes(ringloom, 1);
    const count = () => readdirSync(`/proc/${ringloom.child.pid}/fd`).length;
    ringloom.child.stdin?.write("r\n");
    await readyTimes(ringloom, 2);
    const before = count();
    for (let index = 3; index <= 6; index++) {
      ringloom.child.stdin?.write("r\n");
      await readyTimes(ringloom, index);
    }
    assert.ok(count() <= before + 1, `${before} descriptors became ${count()}`);
  });
});

test("ringloom dev refuses a port in use, a wrong inspector address and --shards", async () => {
  await withDev({}, async ({ url, folder }) => {
    const taken = await run(["dev", folder.file("app.js"), "--port", new URL(url).port]);
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /EADDRINUSE/);
    const { port } = new URL(url);
    const inspector = await run(["dev", folder.file("app.js"), "--port", "0", `--inspect=${port}`]);
    assert.equal(inspector.code, 1);
    assert.match(inspector.stderr, /Cannot open the inspector at 127\.0\.0\.1:\d+: something listens there/);
    const address = await run(["dev", folder.file("app.js"), "--inspect=nowhere"]);
    assert.equal(address.code, 2);
    assert.match(address.stderr, /Invalid value for --inspect: "nowhere"/);
    assert.equal((await run(["dev", folder.file("app.js"), "--shards", "2"])).code, 2);
    assert.equal((await run(["dev", folder.file("gone.js")])).code, 1);
    assert.equal((await run(["dev"])).code, 2);
  });
});

test("ringloom dev ignores the variables of options that it does not have, whatever their values", async () => {
  const variables = SERVE_ONLY.flatMap((name) => RUNTIME_OPTIONS[name].environment);
  const environment = Object.fromEntries(variables.map((variable) => [variable, "not allowed"]));
  await withDev({ settings: { environment } }, async ({ ringloom, url, folder }) => {
    await readyTimes(ringloom, 1);
    assert.equal(await get(url), "one");
    const own = { environment: { ...environment, RINGLOOM_DRAIN_MS: "not allowed" } };
    const refused = await run(["dev", folder.file("app.js"), "--port", "0"], own);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /Invalid value for RINGLOOM_DRAIN_MS: "not allowed"/);
  });
});

const CALLING_APP = `import { App } from "ringloom/http";
import { invokeOnShard, shardFunction } from "ringloom";
import { word } from "./word.js";
const say = shardFunction("say", (name) => word + " " + name);
const app = new App();
app.get("/:shard", async (c) => {
  const call = invokeOnShard(say, { shard: Number(c.param("shard")) }, "ada");
  return c.text(await call.catch((error) => error.code));
});
export default app;
`;

test("ringloom dev lets the one shard call itself, after a restart too", async () => {
  await withDev({ files: { "app.js": CALLING_APP } }, async ({ folder, ringloom, url }) => {
    await readyTimes(ringloom, 1);
    assert.equal(await get(`${url}/0`), "one ada");
    assert.equal(await get(`${url}/1`), "ERR_RINGLOOM_INVALID_OPTION");
    folder.write("word.js", word("two"));
    await readyTimes(ringloom, 2);
    assert.equal(await get(`${url}/0`), "two ada");
  });
});

test("ringloom dev without the addon answers a client that has ended its side", async () => {
  await withDev({ settings: NO_ADDON }, async ({ ringloom, url }) => {
    await readyTimes(ringloom, 1);
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1" });
      let received = "";
      socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
      socket.on("end", () => resolve(received));
      socket.on("error", reject);
      socket.end("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    });
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\none$/);
  });
});
