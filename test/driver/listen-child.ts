/** Listens on descriptor 3, a listening socket of the parent, says who it is to one peer, stops, and prints whether descriptor 3 is still open. */
import { fstatSync } from "node:fs";
import { childDriver } from "./child-driver.js";

const driver = childDriver({
  accepted(slot, from) {
    const at = driver.reserve(slot, 2);
    driver.writeBytes.set(Buffer.from("hi"), at);
    driver.commit(slot, 2);
    driver.closeAfterFlush(slot);
    driver.stopListening(from);
  },
  listenerStopped() {
    const isOpen = isDescriptorOpen();
    void driver.shutdown().then(() => process.stdout.write(JSON.stringify({ host, port, isOpen })));
  },
});
const { host, port } = await driver.listen(3);

function isDescriptorOpen(): boolean {
  try {
    fstatSync(3);
    return true;
  } catch {
    return false;
  }
}
