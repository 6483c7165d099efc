// The subject `ringloom-ring` of the suite `fs`: each read an operation of the ring, none inside the call. What File.readAt would cost without that.
import { closeSync, openSync } from "node:fs";
import { createUringDriver } from "ringloom/driver";
import { readingEach } from "../peers/files/reading.js";

const nothing = () => {};
const EVENTS = {
  accepted: nothing,
  connected: nothing,
  received: nothing,
  ended: nothing,
  drained: nothing,
  closed: nothing,
  listenerStopped: nothing,
  turnEnded: nothing,
};

export function open(path) {
  const fd = openSync(path);
  const slab = new Uint8Array(64 * 1024);
  const driver = createUringDriver(
    {
      connectionsMax: 1,
      writePoolBytes: 64 * 1024,
      receiveSlab: { bytes: slab, offset: 0, length: slab.length },
      ringEntries: 256,
      spin: { mode: "off", microsMax: 0 },
      loop: "inverted",
    },
    EVENTS,
  );
  const { operations } = driver;
  const read = (buffer, position) => new Promise((resolve) => operations.readAt(fd, buffer, position, resolve));
  return {
    ...readingEach(read),
    async close() {
      await driver.shutdown();
      closeSync(fd);
    },
  };
}
