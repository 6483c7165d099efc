// The subjects `node-http` and `node26-http` of the suite `mixed`: the work is done on the only thread that there is.
import { createServer } from "node:http";
import { burnMs, listener } from "./answer.js";

const server = createServer(listener(burnMs));
server.listen(0, "127.0.0.1", () => process.stdout.write(`listening http://127.0.0.1:${server.address().port}\n`));
