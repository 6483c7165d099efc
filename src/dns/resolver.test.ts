/** The resolver, against a name server on the loopback that says what the test wants. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { NameServer } from "../../test/support/name-server.js";
import { Resolver, type ResolverOptions } from "./index.js";

interface Setting {
  readonly server: NameServer;
  readonly resolver: Resolver;
  /** Moves the resolver's clock. */
  pass(ms: number): void;
}

/** The order does not depend on the machine. */
const SOURCES = { sources: ["192.0.2.200", "2001:db8::200"] };

async function withResolver(options: ResolverOptions, use: (setting: Setting) => Promise<void>): Promise<void> {
  const server = await NameServer.open();
  let nowMs = 1_000_000;
  const settings = { servers: [server.address], hostsFile: false as const, attemptTimeoutMs: 5_000, attempts: 1 };
  const resolver = new Resolver({ ...settings, nowMs: () => nowMs, ...options });
  try {
    await use({ server, resolver, pass: (ms) => void (nowMs += ms) });
  } finally {
    resolver.close();
    await server.close();
  }
}

async function addresses(resolver: Resolver, host: string, options = {}): Promise<string> {
  const found = await resolver.lookup(host, { ...SOURCES, ...options });
  return found.map(({ address }) => address).join(" ");
}

describe("Resolver.lookup()", () => {
  test("asks for both families and orders what comes", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.host("both.test", ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
      assert.equal(await addresses(resolver, "Both.TEST"), "2001:db8::1 192.0.2.1 192.0.2.2");
      assert.equal(await addresses(resolver, "both.test.", { family: 4 }), "192.0.2.1 192.0.2.2");
      assert.deepEqual(server.asked.sort(), ["A both.test", "AAAA both.test"]);
    }));

  test("keeps an answer for its time to live, and no longer", () =>
    withResolver({}, async ({ server, resolver, pass }) => {
      server.host("kept.test", ["192.0.2.1"], 30);
      assert.equal(await addresses(resolver, "kept.test", { family: 4 }), "192.0.2.1");
      server.host("kept.test", ["192.0.2.9"], 30);
      pass(29_999);
      assert.equal(await addresses(resolver, "kept.test", { family: 4 }), "192.0.2.1");
      assert.equal(server.countOf("A kept.test"), 1);
      pass(1);
      assert.equal(await addresses(resolver, "kept.test", { family: 4 }), "192.0.2.9");
      resolver.clear();
      await addresses(resolver, "kept.test", { family: 4 });
      assert.equal(server.countOf("A kept.test"), 3);
    }));

  test("limits the time to live on both sides", () =>
    withResolver({ ttlMsMin: 5_000, ttlMsMax: 10_000 }, async ({ server, resolver, pass }) => {
      server.host("zero.test", ["192.0.2.1"], 0);
      server.host("week.test", ["192.0.2.1"], 604_800);
      for (const name of ["zero.test", "week.test"]) await addresses(resolver, name, { family: 4 });
      pass(4_999);
      await addresses(resolver, "zero.test", { family: 4 });
      pass(5_001);
      for (const name of ["zero.test", "week.test"]) await addresses(resolver, name, { family: 4 });
      assert.deepEqual([server.countOf("A zero.test"), server.countOf("A week.test")], [2, 2]);
    }));

  test("keeps for a while that there is no such name, and not that a server failed", () =>
    withResolver({ negativeTtlMs: 1_000 }, async ({ server, resolver, pass }) => {
      await assert.rejects(addresses(resolver, "nobody.test"), { code: "ENOTFOUND", message: /nobody\.test/ });
      await assert.rejects(addresses(resolver, "nobody.test"), { code: "ENOTFOUND" });
      assert.equal(server.countOf("A nobody.test"), 1);
      assert.equal(resolver.stats.cachedNegative, 2);
      server.host("nobody.test", ["192.0.2.1"]);
      pass(1_000);
      assert.equal(await addresses(resolver, "nobody.test"), "192.0.2.1");
      server.known.set("A broken.test", "fail");
      await assert.rejects(addresses(resolver, "broken.test", { family: 4 }), { code: "ESERVFAIL" });
      server.host("broken.test", ["192.0.2.2"]);
      assert.equal(await addresses(resolver, "broken.test", { family: 4 }), "192.0.2.2");
    }));

  test("asks once for many who ask at the same time, and one who gives up does not end it for the others", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.host("busy.test", ["192.0.2.1"]);
      server.holds = true;
      const giveUp = new AbortController();
      const asking = Array.from({ length: 50 }, () => addresses(resolver, "busy.test", { family: 4 }));
      const leaving = addresses(resolver, "busy.test", { family: 4, signal: giveUp.signal });
      const late = addresses(resolver, "busy.test", { family: 4, timeoutMs: 1 });
      await assert.rejects(late, { code: "ERR_RINGLOOM_TIMEOUT" });
      giveUp.abort();
      await assert.rejects(leaving, { code: "ERR_RINGLOOM_ABORTED" });
      server.release();
      assert.deepEqual(new Set(await Promise.all(asking)), new Set(["192.0.2.1"]));
      assert.equal(server.countOf("A busy.test"), 1);
      assert.deepEqual([resolver.stats.joined, resolver.stats.open], [51, 0]);
    }));

  test("refuses more questions than it may have open, and answers are kept in bounds", () =>
    withResolver({ queriesMax: 4, cacheEntriesMax: 3 }, async ({ server, resolver }) => {
      for (let index = 0; index < 6; index++) server.host(`n${index}.test`, [`192.0.2.${index}`]);
      server.holds = true;
      const four = [0, 1, 2, 3].map((index) => addresses(resolver, `n${index}.test`, { family: 4 }));
      await assert.rejects(addresses(resolver, "n4.test", { family: 4 }), { code: "ERR_RINGLOOM_OVERLOADED" });
      server.release();
      assert.deepEqual(await Promise.all(four), ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
      assert.equal(resolver.stats.entries, 3);
      // The one that was used longest ago has made room.
      await addresses(resolver, "n3.test", { family: 4 });
      assert.equal(server.countOf("A n3.test"), 1);
      await addresses(resolver, "n0.test", { family: 4 });
      assert.equal(server.countOf("A n0.test"), 2);
    }));

  test("does not wait for the family that does not answer", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.host("half.test", ["192.0.2.1"]);
      server.known.set("AAAA half.test", "drop");
      assert.equal(await addresses(resolver, "half.test"), "192.0.2.1");
      assert.equal(resolver.stats.open, 1, "the other question goes on");
    }));

  test("says that a family has nothing, and takes what one has when the other failed", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.host("v6.test", ["2001:db8::1"]);
      await assert.rejects(addresses(resolver, "v6.test", { family: 4 }), { code: "ENODATA" });
      server.known.set("A v6.test", "fail");
      assert.equal(await addresses(resolver, "v6.test"), "2001:db8::1");
      server.known.set("A bad.test", "refuse");
      server.known.set("AAAA bad.test", "none");
      await assert.rejects(addresses(resolver, "bad.test"), { code: "EREFUSED" });
    }));

  test("gives up after its attempts when no server answers", () =>
    withResolver({ attemptTimeoutMs: 50 }, async ({ server, resolver }) => {
      server.known.set("A silent.test", "drop");
      await assert.rejects(addresses(resolver, "silent.test", { family: 4 }), { code: "ETIMEOUT" });
    }));

  test("completes short names, in the order that ndots says", () =>
    withResolver({ searchDomains: ["prod.test", "test"], ndots: 2 }, async ({ server, resolver }) => {
      server.host("db.prod.test", ["192.0.2.1"]);
      server.host("db.b.test", ["192.0.2.2"]);
      assert.equal(await addresses(resolver, "db", { family: 4 }), "192.0.2.1");
      assert.equal(await addresses(resolver, "db.b", { family: 4 }), "192.0.2.2");
      assert.deepEqual(server.asked, ["A db.prod.test", "A db.b.prod.test", "A db.b.test"]);
      server.asked.length = 0;
      await assert.rejects(addresses(resolver, "a.b.c", { family: 4 }), { code: "ENOTFOUND" });
      assert.deepEqual(server.asked, ["A a.b.c", "A a.b.c.prod.test", "A a.b.c.test"]);
      server.asked.length = 0;
      await assert.rejects(addresses(resolver, "db.", { family: 4 }), { code: "ENOTFOUND" });
      assert.deepEqual(server.asked, ["A db"]);
    }));

  test("asks nobody for addresses and for localhost, and refuses what is no name", () =>
    withResolver({}, async ({ server, resolver }) => {
      assert.equal(await addresses(resolver, "127.0.0.1"), "127.0.0.1");
      assert.equal(await addresses(resolver, "[::1]"), "::1");
      await assert.rejects(addresses(resolver, "::1", { family: 4 }), { code: "ENODATA" });
      const local = await addresses(resolver, "db.localhost");
      assert.deepEqual(local.split(" ").sort(), ["127.0.0.1", "::1"]);
      for (const name of ["", ".", "a..b", "x".repeat(64), `${"x.".repeat(130)}y`, "a b", "a/b"])
        await assert.rejects(addresses(resolver, name), { code: "EBADNAME" }, name);
      assert.deepEqual(server.asked, []);
    }));

  test("close() ends what is open, and nothing is asked afterwards", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.known.set("A silent.test", "drop");
      const asking = assert.rejects(addresses(resolver, "silent.test", { family: 4 }), { code: "ERR_RINGLOOM_CLOSED" });
      while (server.asked.length === 0) await new Promise(setImmediate);
      resolver.close();
      resolver.close();
      await asking;
      await assert.rejects(addresses(resolver, "other.test"), { code: "ERR_RINGLOOM_CLOSED" });
    }));

  test("an answer to a question from before clear() is not kept", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.host("old.test", ["192.0.2.1"]);
      server.holds = true;
      const old = addresses(resolver, "old.test", { family: 4 });
      while (server.asked.length === 0) await new Promise(setImmediate);
      resolver.clear();
      server.release();
      await old;
      assert.equal(resolver.stats.entries, 0);
    }));

  test("options that make no sense throw", () => {
    assert.throws(() => new Resolver({ method: "magic" as never }), TypeError);
    assert.throws(() => new Resolver({ queriesMax: 0 }), RangeError);
    assert.throws(() => new Resolver({ ttlMsMin: 2, ttlMsMax: 1 }), RangeError);
    assert.throws(() => new Resolver({ servers: ["no address"] }));
  });
});

describe("Resolver and the hosts file", () => {
  test("takes what is in it, sees that it has changed, and asks for the rest", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringloom-hosts-"));
    const hostsFile = join(folder, "hosts");
    writeFileSync(hostsFile, "# a comment\n192.0.2.7 Db.internal db # more\n2001:db8::7\tdb.internal\nnonsense here\n");
    try {
      await withResolver({ hostsFile }, async ({ server, resolver, pass }) => {
        assert.equal(await addresses(resolver, "db.INTERNAL"), "2001:db8::7 192.0.2.7");
        assert.equal(await addresses(resolver, "db"), "192.0.2.7");
        await assert.rejects(addresses(resolver, "db", { family: 6 }), { code: "ENODATA" });
        assert.deepEqual(server.asked, []);
        server.host("other.test", ["192.0.2.1"]);
        assert.equal(await addresses(resolver, "other.test"), "192.0.2.1");
        writeFileSync(hostsFile, "192.0.2.8 db.internal");
        utimesSync(hostsFile, 1, 1);
        pass(1_000);
        assert.equal(await addresses(resolver, "db.internal"), "192.0.2.8");
      });
      await withResolver({ hostsFile: join(folder, "missing") }, async ({ resolver }) => {
        await assert.rejects(addresses(resolver, "db.internal"), { code: "ENOTFOUND" });
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("Resolver.resolveService()", () => {
  test("orders by priority, then by weight", () =>
    withResolver({ random: () => 0.5 }, async ({ server, resolver }) => {
      const records = [
        [20, 0, "backup"],
        [10, 1, "small"],
        [10, 9, "large"],
      ] as const;
      server.known.set(
        "SRV _db._tcp.test",
        records.map(([priority, weight, target]) => ({
          type: "SRV",
          name: "_db._tcp.test",
          data: { priority, weight, port: 5_432, target: `${target}.test` },
        })),
      );
      const services = await resolver.resolveService("_db._tcp.test");
      assert.deepEqual(
        services.map(({ host }) => host),
        ["large.test", "small.test", "backup.test"],
      );
      assert.deepEqual(services[0], { host: "large.test", port: 5_432, priority: 10, weight: 9 });
      await resolver.resolveService("_db._tcp.test");
      assert.equal(server.countOf("SRV _db._tcp.test"), 1);
    }));

  test("a domain that says it has no such service has none", () =>
    withResolver({}, async ({ server, resolver }) => {
      const data = { priority: 0, weight: 0, port: 0, target: "." };
      server.known.set("SRV _none._tcp.test", [{ type: "SRV", name: "_none._tcp.test", data }]);
      await assert.rejects(resolver.resolveService("_none._tcp.test"), { code: "ENOTFOUND" });
    }));
});

describe("Resolver.resolve4() and resolve6()", () => {
  test("give what the servers have, past the hosts file", () =>
    withResolver({}, async ({ server, resolver }) => {
      server.host("both.test", ["192.0.2.1", "2001:db8::1"]);
      assert.deepEqual(await resolver.resolve4("both.test"), ["192.0.2.1"]);
      assert.deepEqual(await resolver.resolve6("both.test"), ["2001:db8::1"]);
      assert.deepEqual(
        await resolver
          .forConnect()("both.test", {})
          .then((list) => list.sort()),
        ["192.0.2.1", "2001:db8::1"],
      );
    }));
});
