/** What people do with `pg`, over our sockets. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import pg from "pg";
import { ClientSocket, pgStream } from "ringloom/db";
import { serve } from "ringloom/http";
import { certificate, endTrial, folder, host, LARGE_BYTES, password, port, server, until } from "./trial.js";

const target = { host, port, user: "ringloom", password, database: "postgres", stream: pgStream() };

async function withClient(use, changed = {}) {
  const client = new pg.Client({ ...target, ...changed });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

before(() =>
  withClient(async (client) => {
    await client.query("drop table if exists account");
    await client.query("create table account (id int primary key, balance int not null)");
  }),
);
after(endTrial);

test("the connection is ours, and logs in with SCRAM", () =>
  withClient(async (client) => {
    assert.ok(client.connection.stream instanceof ClientSocket);
    assert.equal(client.connection.stream.remotePort, port);
    assert.deepEqual((await client.query("select 1 as one")).rows, [{ one: 1 }]);
  }));

test("prepared statements, types and nulls", () =>
  withClient(async (client) => {
    for (const value of [1, 2, null]) {
      const { rows } = await client.query({
        name: "sum",
        text: "select $1::int + 1 as next, $2::text as text, $3::jsonb as json",
        values: [value, "zwölf", { deep: [1, "two"] }],
      });
      assert.deepEqual(rows, [{ next: value === null ? null : value + 1, text: "zwölf", json: { deep: [1, "two"] } }]);
    }
    const { rows } = await client.query("select count(*)::int as count from pg_prepared_statements where name = 'sum'");
    assert.deepEqual(rows, [{ count: 1 }]);
  }));

test("a result of 10 MB in rows, and one of 10 MB in one value", () =>
  withClient(async (client) => {
    const many = await client.query(
      "select i, repeat(chr(97 + i % 26), 1024) as text from generate_series(0, 10239) i",
    );
    assert.equal(many.rows.length, 10_240);
    for (const { i, text } of many.rows) assert.equal(text, String.fromCharCode(97 + (i % 26)).repeat(1_024));
    const one = await client.query("select convert_to(repeat('0123456789abcdef', $1), 'UTF8') as bytes", [
      LARGE_BYTES / 16,
    ]);
    assert.equal(one.rows[0].bytes.length, LARGE_BYTES);
    assert.equal(md5(one.rows[0].bytes), md5("0123456789abcdef".repeat(LARGE_BYTES / 16)));
  }));

test("a parameter of 10 MB arrives whole", () =>
  withClient(async (client) => {
    const bytes = Buffer.alloc(LARGE_BYTES, "pieces of eight ");
    const { rows } = await client.query("select length($1::bytea) as length, md5($1::bytea) as md5", [bytes]);
    assert.deepEqual(rows, [{ length: LARGE_BYTES, md5: md5(bytes) }]);
  }));

test("LISTEN and NOTIFY", () =>
  withClient((listener) =>
    withClient(async (sender) => {
      await listener.query("listen news");
      const heard = [];
      listener.on("notification", ({ channel, payload }) => heard.push(`${channel} ${payload}`));
      for (let index = 0; index < 100; index++) await sender.query("select pg_notify('news', $1)", [String(index)]);
      await until(() => heard.length === 100, "all notifications came");
      assert.deepEqual(
        heard,
        Array.from({ length: 100 }, (_, index) => `news ${index}`),
      );
    }),
  ));

test("transactions: what is rolled back is gone, what is committed is seen, errors keep their code", () =>
  withClient((one) =>
    withClient(async (other) => {
      await one.query("begin");
      await one.query("insert into account values (1, 100)");
      assert.equal((await other.query("select * from account")).rowCount, 0);
      await assert.rejects(one.query("insert into account values (1, 5)"), { code: "23505" });
      await assert.rejects(one.query("select 1"), { code: "25P02" });
      await one.query("rollback");
      await one.query("begin");
      await one.query("insert into account values (1, 100)");
      await one.query("commit");
      assert.deepEqual((await other.query("select * from account")).rows, [{ id: 1, balance: 100 }]);
    }),
  ));

test("a pool: 200 queries over 4 connections", async () => {
  const pool = new pg.Pool({ ...target, max: 4 });
  const answers = await Promise.all(
    Array.from(
      { length: 200 },
      async (_, index) => (await pool.query("select $1::int as index", [index])).rows[0].index,
    ),
  );
  assert.deepEqual(
    answers,
    Array.from({ length: 200 }, (_, index) => index),
  );
  assert.equal(pool.totalCount, 4);
  await pool.end();
});

test("a Unix socket", () =>
  withClient(
    async (client) => {
      assert.equal((await client.query("select inet_client_addr() as address")).rows[0].address, null);
    },
    { host: folder },
  ));

test("TLS over our sockets, with the certificate checked", async () => {
  await withClient(
    async (client) => {
      const { rows } = await client.query("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()");
      assert.equal(rows[0].ssl, true);
      assert.equal((await client.query("select repeat('x', 1000000) as text")).rows[0].text.length, 1_000_000);
    },
    { ssl: { ca: certificate } },
  );
  await assert.rejects(
    withClient(() => {}, { ssl: true }),
    { code: "DEPTH_ZERO_SELF_SIGNED_CERT" },
  );
});

test("a server of ours on the same thread answers from a pool", async () => {
  const pool = new pg.Pool({ ...target, max: 4 });
  const answering = await serve({
    port: 0,
    fetch: async (request) => {
      const { rows } = await pool.query("select $1::text as path", [new URL(request.url).pathname]);
      return new Response(rows[0].path);
    },
  });
  const ask = async (index) => (await fetch(`${answering.url}/${index}`)).text();
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => ask(index)));
  assert.deepEqual(
    answers,
    Array.from({ length: 200 }, (_, index) => `/${index}`),
  );
  await answering.drain();
  await pool.end();
});

test("a wrong password, a refused connect and a server that never answers are errors", async () => {
  await assert.rejects(
    withClient(() => {}, { password: "wrong" }),
    { code: "28P01" },
  );
  const silent = createServer((socket) => socket.resume()).listen(0, host);
  await once(silent, "listening");
  const silentPort = silent.address().port;
  await assert.rejects(
    withClient(() => {}, { port: silentPort, connectionTimeoutMillis: 50 }),
    /timeout/,
  );
  await new Promise((resolve) => silent.close(resolve));
  await assert.rejects(
    withClient(() => {}, { port: silentPort }),
    { code: "ECONNREFUSED", message: new RegExp(`127\\.0\\.0\\.1.*${silentPort}|${silentPort}.*127\\.0\\.0\\.1`) },
  );
});

test("a connection that is reset in the middle of a query rejects it, and the server sees it end", () =>
  withClient(async (observer) => {
    const client = new pg.Client({ ...target, application_name: "victim" });
    client.on("error", () => {});
    await client.connect();
    const query = assert.rejects(client.query("select pg_sleep(60)"));
    const backend = await until(
      async () =>
        (
          await observer.query(
            "select pid from pg_stat_activity where application_name = 'victim' and state = 'active'",
          )
        ).rows[0],
      "the query runs",
    );
    client.connection.stream.resetAndDestroy();
    await query;
    await observer.query("select pg_cancel_backend($1)", [backend.pid]);
    await until(
      async () =>
        (await observer.query("select 1 from pg_stat_activity where application_name = 'victim'")).rowCount === 0,
      "the backend is gone",
    );
    const other = new pg.Client(target);
    other.on("error", () => {});
    await other.connect();
    const { rows } = await other.query("select pg_backend_pid() as pid");
    const killed = assert.rejects(other.query("select pg_sleep(60)"));
    await observer.query("select pg_terminate_backend($1)", [rows[0].pid]);
    await killed;
  }));

test("a pool goes on when the server has been restarted", async () => {
  const pool = new pg.Pool({ ...target, max: 2 });
  const lost = [];
  pool.on("error", (error) => lost.push(error.code));
  await Promise.all([pool.query("select 1"), pool.query("select 2")]);
  assert.equal(pool.idleCount, 2);
  await server("stop");
  await until(() => pool.totalCount === 0, "the pool has seen its connections end");
  assert.equal(lost.length, 2);
  await assert.rejects(pool.query("select 1"), { code: "ECONNREFUSED" });
  await server("start");
  assert.deepEqual((await pool.query("select balance from account")).rows, [{ balance: 100 }]);
  await pool.end();
});

function md5(data) {
  return createHash("md5").update(data).digest("hex");
}
