// The subjects `ringloom…` of the suite `net`: a client of ringloom/net on one thread. The first argument is the driver.
import { connect, listen } from "ringloom/net";
import { channel } from "ringloom/sync";
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

/** An owner: a function of the same thread behind a channel. */
function openOwner() {
  const values = channel(1_024);
  const run = async () => {
    let sum = 0;
    for await (const first of values)
      for (let value = first; value !== undefined; value = values.tryRecv()) sum += value;
    return sum;
  };
  const done = run();
  return {
    dispatch: (value) => (values.trySend(value) ? undefined : values.send(value)),
    close: () => {
      values.close();
      return done;
    },
  };
}

await measure(open, { args, openServer, openOwner });
