// Node's own first server (nodejs.org); its last statement was server.listen(port, …).
import { createServer } from "node:http";

const server = createServer((_req, res) => {
  res.statusCode = 200;
  res.setHeader("Content-Type", "text/plain");
  res.end("Hello World");
});

export default server;
