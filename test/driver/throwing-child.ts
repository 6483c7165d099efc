/** Throws in every handler and every completion, and prints which exceptions were reported and which events came all the same. */

import { openSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { fileURLToPath } from "node:url";
import type { DriverEvents } from "../../src/driver/contract.js";
import { Signal } from "../support/signal.js";
import { childDriver } from "./child-driver.js";

const EXPECTED = ["accepted", "connected", "ended", "drained", "closed", "listenerStopped", "nop", "timeout", "readAt"];
const thrown: string[] = [];
/** Events that come once in this program, by name and slot. */
const seen: string[] = [];
const signal = new Signal();
let received = "";

process.on("uncaughtException", (error) => {
  thrown.push(error.message);
  signal.notify();
});

const driver = childDriver({
  accepted: (slot) => note("accepted", slot),
  connected: (slot) => note("connected", slot),
  received(_, bytes, offset, length) {
    received += Buffer.from(bytes.subarray(offset, offset + length)).toString();
    throw new Error("received");
  },
  ended: (slot) => note("ended", slot, () => driver.end(slot)),
  drained: (slot) => note("drained", slot),
  closed: (slot) => note("closed", slot),
  listenerStopped: (listener) => note("listenerStopped", listener),
  turnEnded() {
    if (thrown.includes("turnEnded")) return;
    throw new Error("turnEnded");
  },
} satisfies Partial<DriverEvents>);

const { listener, port } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 16, reusePort: false });
const peer = connectSocket({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
for (const letter of "abcdefghij") {
  peer.write(letter);
  await signal.until(letter, () => received.endsWith(letter));
}
driver.requestDrained(0);
await signal.until("drained", () => thrown.includes("drained"));
peer.end();
await signal.until("closed", () => thrown.includes("closed"));
peer.destroy();
driver.connect("127.0.0.1", port);
await signal.until("connected", () => thrown.includes("connected"));
driver.operations.nop(() => note("nop", 0));
driver.operations.timeout(1, () => note("timeout", 0));
driver.operations.readAt(openSync(fileURLToPath(import.meta.url), "r"), new Uint8Array(8), 0, () => note("readAt", 0));
driver.stopListening(listener);
await signal.until("every exception", () => EXPECTED.every((name) => thrown.includes(name)));
await driver.shutdown();
process.stdout.write(JSON.stringify({ thrown, seen, received }));

function note(name: string, slot: number, act?: () => void): void {
  seen.push(`${name} ${slot} ${seen.filter((other) => other.startsWith(`closed ${slot} `)).length}`);
  act?.();
  signal.notify();
  throw new Error(name);
}
