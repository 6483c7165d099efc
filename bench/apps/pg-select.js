/**
 * A subject of the suite `db`: `pg` over one kind of socket, one case by itself, one line of JSON.
 *
 *     node pg-select.js <ringloom|node> <connections> <warmup seconds> <seconds> <port> <password>
 */
import { createRequire } from "node:module";
import { pgStream } from "ringloom/db";

const [kind, connections, warmupSeconds, seconds, port, password] = process.argv.slice(2);
const pg = createRequire(new URL("../../test/db/package.json", import.meta.url))("pg");

const target = { host: "127.0.0.1", port: Number(port), user: "ringloom", password, database: "postgres" };
const clients = Array.from(
  { length: Number(connections) },
  () => new pg.Client(kind === "ringloom" ? { ...target, stream: pgStream() } : target),
);
await Promise.all(clients.map((client) => client.connect()));

/** Each client asks again when it has its answer, until the time is over. */
async function run(durationSeconds) {
  const endMs = performance.now() + 1_000 * durationSeconds;
  let count = 0;
  let sum = 0;
  const ask = async (client) => {
    while (performance.now() < endMs) {
      const { rows } = await client.query({ name: "one", text: "select $1::int + 1 as next", values: [41] });
      sum += rows[0].next;
      count++;
    }
  };
  await Promise.all(clients.map(ask));
  return { count, sum };
}

await run(Number(warmupSeconds));
const startedNs = process.hrtime.bigint();
const cpuBefore = process.cpuUsage();
const { count, sum } = await run(Number(seconds));
const { user, system } = process.cpuUsage(cpuBefore);
const ns = Number(process.hrtime.bigint() - startedNs);
await Promise.all(clients.map((client) => client.end()));
console.log(JSON.stringify({ count, sum, ns, cpuNs: 1_000 * (user + system) }));
