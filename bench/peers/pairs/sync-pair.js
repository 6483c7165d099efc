/*
 * A pair of threads over shared memory whose calls block: the main thread is the client, a worker thread the server.
 *
 * A link is a module that exports `BYTES`, how much zeroed shared memory it needs, and `open(buffer, side, regime)`, which returns `{ send(value), flush(),
 * receive() }` for `side` "client" or "server". What was sent must arrive only after a flush. `receive` waits for the next value (of 32 bits): spinning when `regime` is "busy", blocked in the kernel from the start
 * when it is "parked", and "adaptive" spins for 50 µs first.
 */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { pin } from "./pin.js";
import { check, VALUE_END, VALUE_FLUSH } from "./values.js";

if (!isMainThread) {
  const { link, buffer, regime, isOneWay, core } = workerData;
  const { open } = await import(link);
  pin(core);
  const server = open(buffer, "server", regime);
  parentPort.postMessage("ready");
  serve(server, isOneWay);
}

function serve(server, isOneWay) {
  let sum = 0;
  for (;;) {
    const value = server.receive();
    if (value === VALUE_END) return;
    if (value === VALUE_FLUSH) {
      server.send(sum);
      server.flush();
      sum = 0;
    } else if (isOneWay) {
      sum = (sum + value) >>> 0;
    } else {
      server.send(value + 1);
      server.flush();
    }
  }
}

export function createPair({ link, regime, isOneWay, cores }) {
  let client;
  let worker;
  return {
    async start() {
      const { open, BYTES } = await import(link);
      const buffer = new SharedArrayBuffer(BYTES);
      const data = { link, buffer, regime, isOneWay, core: cores[1] };
      worker = new Worker(fileURLToPath(import.meta.url), { workerData: data });
      await once(worker, "message");
      pin(cores[0]);
      client = open(buffer, "client", regime);
    },
    async stop() {
      const exited = once(worker, "exit");
      client.send(VALUE_END);
      client.flush();
      await exited;
    },
    runRounds(count) {
      for (let i = 1; i <= count; i++) {
        client.send(i);
        client.flush();
        check(client.receive(), i + 1);
      }
    },
    runOneWay(count) {
      for (let i = 1; i <= count; i++) client.send(i);
      client.send(VALUE_FLUSH);
      client.flush();
      check(client.receive(), ((count * (count + 1)) / 2) >>> 0);
    },
  };
}
