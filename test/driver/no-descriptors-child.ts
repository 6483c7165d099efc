/** Connects when the process has no descriptor left, again when it has, and prints the events. Only the driver keeps this process alive. */
import { closeSync } from "node:fs";
import { childDriver, takeDescriptors } from "./child-driver.js";

const { stdout } = process;
const events: string[] = [];
const port = Number(process.argv[3]);
let hasRetried = false;

const driver = childDriver({
  connected(slot, errno) {
    events.push(`connected ${errno}`);
    if (errno === 0) driver.close(slot);
  },
  closed(_, errno) {
    events.push(`closed ${errno}`);
    if (hasRetried) return;
    hasRetried = true;
    for (const descriptor of taken) closeSync(descriptor);
    driver.connect("127.0.0.1", port);
  },
});
process.on("exit", () => stdout.write(JSON.stringify({ events, connectionsNow: driver.stats.connectionsNow })));
const taken = takeDescriptors();
driver.connect("127.0.0.1", port);
