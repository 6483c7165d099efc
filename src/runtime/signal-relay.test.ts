import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { relaySignals, type SignalNews } from "./signal-relay.js";

/** Everything that has been told so far. */
function told(port: MessagePort): SignalNews[] {
  const news: SignalNews[] = [];
  for (let one = receiveMessageOnPort(port); one !== undefined; one = receiveMessageOnPort(port))
    news.push(one.message);
  return news;
}

/** Sends a signal as Node does when it has come from the system. */
function come(name: NodeJS.Signals): void {
  process.emit(name, name);
}

/** Enough turns for a message to arrive that is on its way. */
async function turns(): Promise<void> {
  for (let count = 0; count < 20; count++) await new Promise((resolve) => setImmediate(resolve));
}

test("relaySignals() tells a signal once until it is confirmed, and then once more if it came again", async () => {
  const { port1, port2 } = new MessageChannel();
  const before = process.listenerCount("SIGWINCH");
  relaySignals(port2, ["SIGWINCH", "SIGHUP"]);
  assert.deepEqual(told(port1), ["listening"]);
  for (let count = 0; count < 10; count++) come("SIGWINCH");
  come("SIGHUP");
  assert.deepEqual(told(port1), ["SIGWINCH", "SIGHUP"]);
  port1.postMessage("SIGWINCH");
  await turns();
  assert.deepEqual(told(port1), ["SIGWINCH"]);
  port1.postMessage("SIGWINCH");
  await turns();
  assert.deepEqual(told(port1), []);
  come("SIGWINCH");
  assert.deepEqual(told(port1), ["SIGWINCH"]);
  assert.equal(process.listenerCount("SIGWINCH"), before + 1);
  port1.close();
  for (let tries = 0; process.listenerCount("SIGWINCH") > before; tries++) {
    assert.ok(tries < 1_000, "the listener is still there");
    await turns();
  }
});

test("relaySignals() has one listener for all who listen to a signal", async () => {
  const channels = [new MessageChannel(), new MessageChannel()];
  const before = process.listenerCount("SIGWINCH");
  for (const { port2 } of channels) relaySignals(port2, ["SIGWINCH"]);
  assert.equal(process.listenerCount("SIGWINCH"), before + 1);
  come("SIGWINCH");
  for (const { port1 } of channels) {
    assert.deepEqual(told(port1), ["listening", "SIGWINCH"]);
    port1.close();
  }
});
