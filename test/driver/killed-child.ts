/** Kills threads that connect and close without a rest, and prints how many sockets of this process nobody closed. */
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { childDriver } from "./child-driver.js";

const CONNECTING_AT_ONCE = 48;
const SETTLE_MS_MAX = 10_000;

if (isMainThread) await killThreads(process.argv[2] ?? "", Number(process.argv[3]));
else connectForEver(workerData as number);

async function killThreads(driver: string, count: number): Promise<void> {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const before = socketsNow();
  for (let index = 0; index < count; index++) {
    const worker = new Worker(new URL(import.meta.url), { argv: [driver], workerData: port });
    await once(worker, "message");
    // At another moment of its loop each time.
    await sleep(index % 7);
    await worker.terminate();
  }
  // What the threads have closed is closed on the server's side when that has read its end.
  for (let waitedMs = 0; socketsNow() > before && waitedMs < SETTLE_MS_MAX; waitedMs += 20) await sleep(20);
  process.stdout.write(JSON.stringify({ left: socketsNow() - before }));
  process.exit(0);
}

function connectForEver(port: number): void {
  let hasConnected = false;
  const driver = childDriver({
    connected(slot) {
      driver.close(slot);
      if (hasConnected) return;
      hasConnected = true;
      parentPort?.postMessage("connecting");
    },
    closed: () => void driver.connect("127.0.0.1", port),
  });
  for (let index = 0; index < CONNECTING_AT_ONCE; index++) driver.connect("127.0.0.1", port);
}

function socketsNow(): number {
  return readdirSync("/proc/self/fd").filter((name) => linkOf(name).startsWith("socket:")).length;
}

/** Empty for a descriptor that has been closed since the folder was read. */
function linkOf(name: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${name}`);
  } catch {
    return "";
  }
}
