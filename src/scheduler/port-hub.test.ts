import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { SharedWords } from "../shared/words.js";
import { type Delivery, PortHub } from "./port-hub.js";

const SENDER = 0;
const RECEIVER = 1;

function rig() {
  const words = new SharedWords(new SharedArrayBuffer(64));
  return { words, hub: new PortHub(words, 0) };
}

/** Sends a port, with a word in it, to the thread's present or next epoch. */
function introduce(line: MessagePort, epoch: number): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage("word");
  line.postMessage({ to: RECEIVER, epoch, port: port2, taken: new SharedArrayBuffer(4) }, [port2]);
  return port1;
}

function delivered(line: MessagePort): Delivery | undefined {
  return receiveMessageOnPort(line)?.message as Delivery | undefined;
}

describe("PortHub", () => {
  it("passes a port on, with who sent it", () => {
    const { hub } = rig();
    const [sender, receiver] = [hub.open(SENDER), hub.open(RECEIVER)];
    introduce(sender, 0);
    hub.poll();
    const delivery = delivered(receiver);
    assert.deepEqual([delivery?.from, delivery?.epoch], [SENDER, 0]);
    assert.equal(receiveMessageOnPort(delivery!.port)?.message, "word");
    hub.close();
  });

  it("keeps a port for a thread that has not started", () => {
    const { hub } = rig();
    introduce(hub.open(SENDER), 0);
    hub.poll();
    assert.equal(hub.earlyCount, 1);
    const delivery = delivered(hub.open(RECEIVER));
    assert.equal(receiveMessageOnPort(delivery!.port)?.message, "word");
    assert.equal(hub.earlyCount, 0);
    hub.close();
  });

  it("keeps a port for the successor of a thread that is about to end", () => {
    const { hub } = rig();
    const [sender, receiver] = [hub.open(SENDER), hub.open(RECEIVER)];
    introduce(sender, 1);
    introduce(sender, 2);
    hub.poll();
    assert.equal(delivered(receiver), undefined);
    assert.equal(hub.earlyCount, 1);
    hub.end(RECEIVER);
    assert.equal(hub.earlyCount, 1);
    const delivery = delivered(hub.open(RECEIVER));
    assert.equal(receiveMessageOnPort(delivery!.port)?.message, "word");
    hub.close();
  });

  it("drops a port for a thread that has ended, and gives its successor none of it", () => {
    const { hub, words } = rig();
    const sender = hub.open(SENDER);
    introduce(sender, 0);
    hub.poll();
    hub.end(RECEIVER);
    assert.equal(words.load(RECEIVER), 1);
    assert.equal(hub.earlyCount, 0);
    introduce(sender, 0);
    hub.poll();
    assert.equal(delivered(hub.open(RECEIVER)), undefined);
    hub.close();
  });

  it("passes on what a thread has said before it ended, in the epoch in which it said it", () => {
    const { hub } = rig();
    const [sender, receiver] = [hub.open(SENDER), hub.open(RECEIVER)];
    introduce(sender, 0);
    hub.end(SENDER);
    const delivery = delivered(receiver);
    assert.equal(delivery?.epoch, 0);
    assert.equal(receiveMessageOnPort(delivery.port)?.message, "word");
    hub.close();
  });
});
