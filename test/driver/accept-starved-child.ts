/**
 * Listens while the process has no descriptor left and a connection waits, counts how often the driver enters the kernel meanwhile, then lets it accept.
 * Prints what it saw.
 */
import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { requireNative } from "../../src/native.js";
import { childDriver, takeDescriptors } from "./child-driver.js";

let accepted = 0;
const driver = childDriver({
  accepted(slot) {
    accepted += 1;
    driver.close(slot);
  },
});
const { port } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 16, reusePort: false });
// All in one run: the loop has no turn between the connection and the want of descriptors.
const client = requireNative().connectSocket("127.0.0.1", port);
const taken = takeDescriptors();
while (driver.stats.rejected === 0) await sleep(1);
const before = { enters: driver.stats.enters, rejected: driver.stats.rejected };
await sleep(300);
const enters = driver.stats.enters - before.enters;
const acceptedWithout = accepted;
for (const descriptor of taken) closeSync(descriptor);
while (accepted === 0) await sleep(1);
closeSync(client);
await driver.shutdown();
process.stdout.write(JSON.stringify({ enters, acceptedWithout, accepted }));
