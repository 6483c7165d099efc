/** Ends by itself although it listens and a timeout is pending, because its driver is unreferenced. */
import { childDriver } from "./child-driver.js";

const driver = childDriver({});
const { port } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 16, reusePort: false });
driver.unref();
driver.ref();
let hasFired = false;
// While the driver is referenced it alone holds the process: this timer does not.
setTimeout(() => {
  hasFired = true;
  driver.unref();
}, 30).unref();
process.on("exit", () => process.stdout.write(JSON.stringify({ listening: port > 0, heldByRef: hasFired })));
