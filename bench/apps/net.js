// The subjects `ringloom…` of the suite `net`: a client of ringloom/net on one thread. The first argument is the driver.
import { connect } from "ringloom/net";
import { measure } from "../peers/net/shapes.js";

const [driver, ...args] = process.argv.slice(2);
process.env.RINGLOOM_DRIVER = driver;

await measure(async (port) => {
  const stream = await connect({ host: "127.0.0.1", port });
  return {
    write: (bytes) => (stream.tryWriteAll(bytes) ? undefined : stream.writeAll(bytes)),
    readExact: (target) => (stream.tryReadExact(target) ? undefined : stream.readExact(target)),
    close: () => stream.close(),
  };
}, args);
