// The subject of `node-http` and `node26-http`: node:http alone.
import { createServer } from "node:http";
import answer from "./node-listener.js";

const server = createServer(answer);

server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`listening http://127.0.0.1:${server.address().port}\n`);
});
