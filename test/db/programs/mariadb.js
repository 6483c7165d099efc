/** What people do with `mysql2`, over our sockets. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import mysql from "mysql2/promise";
import { ClientSocket, mysqlStream } from "ringloom/db";
import { endTrial, folder, host, LARGE_BYTES, password, port, server, until } from "./trial.js";

const target = { host, port, user: "ringloom", password, database: "trial", stream: mysqlStream() };

async function withConnection(use, changed = {}) {
  const connection = await mysql.createConnection({ ...target, ...changed });
  try {
    return await use(connection);
  } finally {
    await connection.end();
  }
}

before(() =>
  withConnection(async (connection) => {
    await connection.query("drop table if exists account");
    await connection.query("create table account (id int primary key, balance int not null) engine=innodb");
  }),
);
after(endTrial);

test("the connection is ours", () =>
  withConnection(async (connection) => {
    assert.ok(connection.connection.stream instanceof ClientSocket);
    const [rows] = await connection.query("select 1 as one");
    assert.deepEqual(rows, [{ one: 1 }]);
  }));

test("prepared statements, types and nulls", () =>
  withConnection(async (connection) => {
    for (const value of [1, 2, null]) {
      const [rows] = await connection.execute("select cast(? as signed) + 1 as next, ? as text", [value, "zwölf"]);
      assert.deepEqual(rows, [{ next: value === null ? null : value + 1, text: "zwölf" }]);
    }
  }));

test("a result of 10 MB in rows, and one of 10 MB in one value", () =>
  withConnection(async (connection) => {
    const [rows] = await connection.query(
      "select seq as i, repeat(char(97 + seq % 26), 1024) as text from seq_0_to_10239",
    );
    assert.equal(rows.length, 10_240);
    for (const { i, text } of rows) assert.equal(String(text), String.fromCharCode(97 + (i % 26)).repeat(1_024));
    const [[one]] = await connection.query("select repeat('0123456789abcdef', ?) as text", [LARGE_BYTES / 16]);
    assert.equal(md5(one.text), md5("0123456789abcdef".repeat(LARGE_BYTES / 16)));
  }));

test("a result is streamed with backpressure", () =>
  withConnection(async (connection) => {
    const rows = connection.connection.query("select seq as i, repeat('x', 4096) as text from seq_1_to_2000").stream();
    let count = 0;
    for await (const row of rows) {
      assert.equal(row.i, ++count);
      if (count % 200 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.equal(count, 2_000);
  }));

test("a parameter of 10 MB arrives whole", () =>
  withConnection(async (connection) => {
    const bytes = Buffer.alloc(LARGE_BYTES, "pieces of eight ");
    const [rows] = await connection.query("select length(?) as length, md5(?) as md5", [bytes, bytes]);
    assert.deepEqual(rows, [{ length: LARGE_BYTES, md5: md5(bytes) }]);
  }));

test("transactions: what is rolled back is gone, what is committed is seen, errors keep their code", () =>
  withConnection((one) =>
    withConnection(async (other) => {
      await one.beginTransaction();
      await one.execute("insert into account values (1, 100)");
      assert.deepEqual((await other.query("select * from account"))[0], []);
      await assert.rejects(one.execute("insert into account values (1, 5)"), { code: "ER_DUP_ENTRY" });
      await one.rollback();
      await one.beginTransaction();
      await one.execute("insert into account values (1, 100)");
      await one.commit();
      assert.deepEqual((await other.query("select * from account"))[0], [{ id: 1, balance: 100 }]);
    }),
  ));

test("a pool: 200 queries over 4 connections, and a waiting list that is full", async () => {
  const pool = mysql.createPool({ ...target, connectionLimit: 4, queueLimit: 196 });
  const ask = async (index) => (await pool.execute("select ? as `index`", [index]))[0][0].index;
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => ask(index)));
  assert.deepEqual(
    answers,
    Array.from({ length: 200 }, (_, index) => index),
  );
  const outcomes = await Promise.allSettled(Array.from({ length: 210 }, (_, index) => ask(index)));
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 10);
  await pool.end();
});

test("a Unix socket", () =>
  withConnection(
    async (connection) => {
      const [[{ host: from }]] = await connection.query(
        "select host from information_schema.processlist where id = connection_id()",
      );
      assert.equal(from, "localhost");
    },
    { socketPath: `${folder}/mariadb.sock` },
  ));

test("a wrong password and a refused connect are errors", async () => {
  await assert.rejects(
    withConnection(() => {}, { password: "wrong" }),
    { code: "ER_ACCESS_DENIED_ERROR" },
  );
  await assert.rejects(
    withConnection(() => {}, { port: 1 }),
    { code: "ECONNREFUSED" },
  );
});

test("a connection that is reset or killed in the middle of a query rejects it", () =>
  withConnection(async (observer) => {
    const running = async (id) => {
      const [rows] = await observer.query(
        "select 1 from information_schema.processlist where id = ? and info like '%sleep(60)%'",
        [id],
      );
      return rows.length === 1;
    };
    for (const end of [
      (connection) => connection.connection.stream.resetAndDestroy(),
      (connection) => observer.query(`kill connection ${connection.threadId}`),
    ]) {
      const connection = await mysql.createConnection(target);
      connection.on("error", () => {});
      const query = assert.rejects(connection.query("select sleep(60)"));
      await until(() => running(connection.threadId), "the query runs");
      await end(connection);
      await query;
      await observer.query(`kill connection ${connection.threadId}`).catch(() => {});
      await until(async () => !(await running(connection.threadId)), "the query has ended");
    }
  }));

test("a pool goes on when the server has been restarted", async () => {
  const pool = mysql.createPool({ ...target, connectionLimit: 2 });
  await Promise.all([pool.query("select 1"), pool.query("select 2")]);
  await server("stop");
  await until(
    () =>
      pool.query("select 1").then(
        () => false,
        (error) => error.code === "ECONNREFUSED",
      ),
    "the pool has dropped what it had",
  );
  await server("start");
  assert.deepEqual((await pool.query("select balance from account"))[0], [{ balance: 100 }]);
  await pool.end();
});

function md5(data) {
  return createHash("md5").update(data).digest("hex");
}
