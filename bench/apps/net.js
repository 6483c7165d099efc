// The subjects `ringloom…` of the suite `net`: a client of ringloom/net on one thread. The first argument is the driver.
import { connect, listen } from "ringloom/net";
import { measure } from "../peers/net/shapes.js";

const [driver, ...args] = process.argv.slice(2);
process.env.RINGLOOM_DRIVER = driver;

async function open(port) {
  const stream = await connect({ host: "127.0.0.1", port });
  return {
    write: (bytes) => (stream.tryWriteAll(bytes) ? undefined : stream.writeAll(bytes)),
    readExact: (target) => (stream.tryReadExact(target) ? undefined : stream.readExact(target)),
    close: () => stream.close(),
  };
}

async function openServer() {
  const listener = await listen({ host: "127.0.0.1", port: 0 });
  const { port } = listener;
  void (async () => {
    for await (const stream of listener) stream.close();
  })();
  const visit = async () => {
    const stream = await connect({ host: "127.0.0.1", port });
    if ((await stream.read()) !== undefined) throw new Error("the server has said something");
    stream.close();
    await stream.closed;
  };
  return { visit, close: () => listener.close() };
}

await measure(open, { args, openServer });
