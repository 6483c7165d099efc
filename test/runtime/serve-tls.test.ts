/** TLS on several shards, from files: chosen by name, read again when told to. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { connect } from "node:tls";
import { pathToFileURL } from "node:url";
import { serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { fixture } from "../cli/ringloom.js";
import { CERTIFICATE, CERTIFICATE_KEY, OTHER_CERTIFICATE, OTHER_KEY } from "../support/certificate.js";
import { driversUnderTest } from "../support/drivers.js";
import { within } from "../support/signal.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-tls-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const PLAIN = pathToFileURL(fixture("plain.js"));
const skip = !driversUnderTest.some(({ name }) => name === "portable") && "TLS is served by the portable driver";
const shards = portSharing().isPossible ? 2 : 1;

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function certificateFor(port: number, servername: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false });
  await within("the handshake", once(socket, "secureConnect"));
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

async function certificatesFor(port: number, servername: string): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: 12 }, () => certificateFor(port, servername))));
}

test("serveModule() serves TLS on its shards, and reads certificates again at reloadTls() and restart()", {
  skip,
  timeout: 60_000,
}, async () => {
  const cert = file("server.crt", CERTIFICATE);
  const key = file("server.key", CERTIFICATE_KEY);
  const server = await serveModule(PLAIN, { port: 0, shards, tlsCert: cert, tlsKey: key });
  const agent = new Agent({ keepAlive: true, maxSockets: 2, ca: [CERTIFICATE, OTHER_CERTIFICATE] });
  const ask = async (): Promise<string> => {
    const [response] = await once(
      request({ host: "127.0.0.1", port: server.port, path: "/x", agent, checkServerIdentity: () => undefined }).end(),
      "response",
    );
    return text(response);
  };
  try {
    assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    assert.equal(server.driver, "portable");
    assert.match(server.driverReason, /TLS/);
    assert.equal(await ask(), "at /x");
    assert.deepEqual(await certificatesFor(server.port, "localhost"), new Set(["localhost"]));
    file("server.crt", OTHER_CERTIFICATE);
    await assert.rejects(server.reloadTls(), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.deepEqual(await certificatesFor(server.port, "localhost"), new Set(["localhost"]));
    file("server.key", OTHER_KEY);
    await within("the reload", server.reloadTls());
    assert.deepEqual(await certificatesFor(server.port, "localhost"), new Set(["other.test"]));
    assert.equal(await ask(), "at /x");
    file("server.crt", CERTIFICATE);
    file("server.key", CERTIFICATE_KEY);
    if (shards > 1) {
      await within("the restart", server.restart());
      assert.deepEqual(await certificatesFor(server.port, "localhost"), new Set(["localhost"]));
    }
    assert.equal(await ask(), "at /x");
  } finally {
    agent.destroy();
    assert.equal((await within("the stop", server.stop())).exitCode, 0);
  }
});

test("serveModule() chooses among several certificates by the names in them", { skip, timeout: 60_000 }, async () => {
  const tlsCert = [file("a.crt", CERTIFICATE), file("b.crt", OTHER_CERTIFICATE)].join(",");
  const tlsKey = [file("a.key", CERTIFICATE_KEY), file("b.key", OTHER_KEY)].join(", ");
  const server = await serveModule(PLAIN, { port: 0, shards: 1, tlsCert, tlsKey });
  try {
    const names = {
      localhost: "localhost",
      "other.test": "other.test",
      "www.other.test": "other.test",
      "else.test": "localhost",
    };
    for (const [name, expected] of Object.entries(names))
      assert.equal(await certificateFor(server.port, name), expected, name);
  } finally {
    await server.stop();
  }
});

test("serveModule() rejects certificates that are not there, before a thread starts", { skip }, async () => {
  const cert = file("c.crt", CERTIFICATE);
  const wrong = [
    { tlsCert: cert },
    { tlsCert: cert, tlsKey: join(folder, "missing.key") },
    { tlsCert: cert, tlsKey: file("c.key", OTHER_KEY) },
  ];
  for (const options of wrong)
    await assert.rejects(serveModule(PLAIN, { port: 0, ...options }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  const server = await serveModule(PLAIN, { port: 0, shards: 1 });
  await assert.rejects(server.reloadTls(), { code: "ERR_RINGLOOM_UNSUPPORTED" });
  await server.stop();
});
