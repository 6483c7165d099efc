/** Ends once its listener has been stopped and its driver shut down, each while nothing else keeps the process alive. */
import { childDriver } from "./child-driver.js";

const steps: string[] = [];
process.on("exit", () => process.stdout.write(JSON.stringify(steps)));
let stopped: () => void = () => undefined;
const driver = childDriver({ listenerStopped: () => stopped() });
const { listener } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 16, reusePort: false });
driver.unref();
await new Promise<void>((resolve) => {
  stopped = resolve;
  driver.stopListening(listener);
});
steps.push("stopped");
await driver.shutdown();
steps.push("shut down");
