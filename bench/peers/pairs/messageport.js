/*
 * The pair of the subject `messageport`: postMessage between the main thread and a worker thread. "busy" polls with receiveMessageOnPort; otherwise messages arrive as
 * events of the loop, which blocks in the kernel in between.
 */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  isMainThread,
  MessageChannel,
  parentPort,
  receiveMessageOnPort,
  Worker,
  workerData,
} from "node:worker_threads";
import { pin } from "./pin.js";
import { check, VALUE_END, VALUE_FLUSH } from "./values.js";

if (!isMainThread) {
  const { regime, isOneWay, core, port } = workerData;
  pin(core);
  parentPort.postMessage("ready");
  let sum = 0;
  const answer = (value) => {
    if (value === VALUE_FLUSH) {
      port.postMessage(sum);
      sum = 0;
    } else if (isOneWay) {
      sum = (sum + value) >>> 0;
    } else {
      port.postMessage(value + 1);
    }
  };
  if (regime === "busy") {
    for (let value = poll(port); value !== VALUE_END; value = poll(port)) answer(value);
  } else {
    port.on("message", (value) => {
      if (value === VALUE_END) port.close();
      else answer(value);
    });
  }
}

function poll(port) {
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received !== undefined) return received.message;
  }
}

export function createPair({ regime, isOneWay, cores }) {
  let worker;
  let client;
  let onValue;
  const receive = () =>
    new Promise((resolve) => {
      onValue = resolve;
    });
  return {
    async start() {
      const { port1, port2 } = new MessageChannel();
      client = port1;
      const data = { regime, isOneWay, core: cores[1], port: port2 };
      worker = new Worker(fileURLToPath(import.meta.url), { workerData: data, transferList: [port2] });
      await once(worker, "message");
      pin(cores[0]);
      if (regime !== "busy") client.on("message", (value) => onValue(value));
    },
    async stop() {
      const exited = once(worker, "exit");
      client.postMessage(VALUE_END);
      await exited;
      client.close();
    },
    runRounds: (count) => (regime === "busy" ? pollRounds(count) : awaitRounds(count)),
    async runOneWay(count) {
      for (let i = 1; i <= count; i++) client.postMessage(i);
      client.postMessage(VALUE_FLUSH);
      check(await receive(), ((count * (count + 1)) / 2) >>> 0);
    },
  };

  function pollRounds(count) {
    for (let i = 1; i <= count; i++) {
      client.postMessage(i);
      check(poll(client), i + 1);
    }
  }

  async function awaitRounds(count) {
    for (let i = 1; i <= count; i++) {
      client.postMessage(i);
      check(await receive(), i + 1);
    }
  }
}
