/**
 * A subject of the suite `client`: one HTTP client, so many requests at a time, one case by itself, one line of JSON.
 *
 *     node client.js <ringloom|ringloom-fetch|undici|fetch|node-http> <requests at a time> <warmup seconds> <seconds> <url> <body length>
 */
import { get, Agent as NodeAgent } from "node:http";
import { Agent, fetch as undiciFetch, request as undiciRequest } from "undici";

const [kind, atATime, warmupSeconds, seconds, url, bodyLength] = process.argv.slice(2);
const connections = Number(atATime);

/** What asks once and gives the length of the body, and what ends it. */
async function openClient() {
  switch (kind) {
    case "ringloom":
    case "ringloom-fetch": {
      const { HttpClient } = await import("ringloom/client");
      const client = new HttpClient({ connectionsMax: connections, proxy: false });
      const ask = async () => (await (await client.request(url)).bytes()).length;
      const askWeb = async () => (await (await client.fetch(url)).arrayBuffer()).byteLength;
      return { ask: kind === "ringloom" ? ask : askWeb, end: () => client.close() };
    }
    case "undici":
    case "fetch": {
      const dispatcher = new Agent({ connections, pipelining: 1 });
      const ask = async () => (await (await undiciRequest(url, { dispatcher })).body.arrayBuffer()).byteLength;
      const askWeb = async () => (await (await undiciFetch(url, { dispatcher })).arrayBuffer()).byteLength;
      return { ask: kind === "undici" ? ask : askWeb, end: () => dispatcher.close() };
    }
    default: {
      const agent = new NodeAgent({ keepAlive: true, maxSockets: connections });
      const ask = () =>
        new Promise((resolve, reject) => {
          const request = get(url, { agent }, (response) => {
            let length = 0;
            response.on("data", (chunk) => {
              length += chunk.length;
            });
            response.on("end", () => resolve(length));
            response.on("error", reject);
          });
          request.on("error", reject);
        });
      return { ask, end: () => agent.destroy() };
    }
  }
}

const client = await openClient();

/** So many loops, each of which asks again when it has its answer, until the time is over. */
async function run(durationSeconds) {
  const endMs = performance.now() + 1_000 * durationSeconds;
  let count = 0;
  let bytes = 0;
  const loop = async () => {
    while (performance.now() < endMs) {
      const length = await client.ask();
      bytes += length;
      count++;
    }
  };
  await Promise.all(Array.from({ length: connections }, loop));
  return { count, bytes };
}

await run(Number(warmupSeconds));
const startedNs = process.hrtime.bigint();
const cpuBefore = process.cpuUsage();
const { count, bytes } = await run(Number(seconds));
const { user, system } = process.cpuUsage(cpuBefore);
const ns = Number(process.hrtime.bigint() - startedNs);
if (bytes !== count * Number(bodyLength)) throw new Error(`${count} bodies have ${bytes} bytes`);
await client.end();
console.log(JSON.stringify({ count, ns, cpuNs: 1_000 * (user + system) }));
