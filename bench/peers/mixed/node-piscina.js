// The subject `node-piscina`: node:http, and the work in piscina's two threads.
import { createServer } from "node:http";
import { Piscina } from "piscina";
import { listener } from "./answer.js";

const pool = new Piscina({ filename: new URL("./task.js", import.meta.url).href, minThreads: 2, maxThreads: 2 });
const server = createServer(listener((ms) => pool.run(ms)));
server.listen(0, "127.0.0.1", () => process.stdout.write(`listening http://127.0.0.1:${server.address().port}\n`));
