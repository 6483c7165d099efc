/**
 * What a request costs above the driver: parsing, routing, a handler, encoding and the write pool, without a kernel. Prints nanoseconds of CPU
 * time and bytes of heap per request. Run: `node --expose-gc dist/bench/http-core.js [seconds]`.
 */

import type { Driver, DriverEvents, DriverOptions, Listening, Operations } from "../src/driver/contract.js";
import { newDriverStats } from "../src/driver/driver-stats.js";
import { Outbox, type OutboxOwner } from "../src/driver/outbox.js";
import { WritePool } from "../src/driver/write-pool.js";
import { App, HttpServer } from "../src/http/index.js";

const MIB = 1024 * 1024;

/** One connection whose peer takes everything at once. */
class NullDriver implements Driver, OutboxOwner {
  readonly name = "portable";
  readonly generations = new Int32Array(1).fill(1);
  readonly stats = newDriverStats();
  readonly writeBytes: Uint8Array;
  readonly writeRoomBytes: number;
  readonly #outbox: Outbox;
  #sentLength = 0;
  bytesSent = 0;

  constructor(options: DriverOptions) {
    const pool = new WritePool(options.writePoolBytes);
    this.writeRoomBytes = pool.roomBytes;
    this.#outbox = new Outbox(pool, 1, this);
    this.writeBytes = pool.bytes;
  }

  get operations(): Operations {
    throw new Error("The null driver has no operations");
  }

  flush(): void {
    this.#outbox.flush();
    while (this.#sentLength > 0) {
      const length = this.#sentLength;
      this.#sentLength = 0;
      this.bytesSent += length;
      this.#outbox.sent(0, length);
      this.#outbox.flush();
    }
  }

  startSend(_slot: number, _offset: number, length: number): void {
    this.#sentLength = length;
  }
  outboxEmptied(): void {}
  outboxDrained(): void {}
  outboxDirty(): void {}

  reserve(slot: number, size: number): number {
    return this.#outbox.reserve(slot, size);
  }
  commit(slot: number, length: number): void {
    this.#outbox.commit(slot, length);
  }
  abort(slot: number): void {
    this.#outbox.abort(slot);
  }
  queuedBytes(slot: number): number {
    return this.#outbox.queuedBytes(slot);
  }
  requestDrained(slot: number): void {
    this.#outbox.requestDrained(slot);
  }
  shareBytes(): number {
    return -1;
  }
  commitShared(): boolean {
    return false;
  }
  unshareBytes(): void {}
  listen(): Promise<Listening> {
    return Promise.resolve({ listener: 0, host: "127.0.0.1", port: 1 });
  }
  stopListening(): void {}
  connectPath(): number {
    return -1;
  }
  localAddress(): undefined {}
  release(): boolean {
    return false;
  }
  setNoDelay(): void {}
  setKeepAlive(): void {}
  setReferenced(): void {}
  connect(): number {
    return -1;
  }
  adopt(): number {
    return -1;
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  close(): void {}
  closeAfterFlush(): void {}
  peerAddress(): undefined {
    return undefined;
  }
  ref(): void {}
  unref(): void {}
  shutdown(): Promise<void> {
    return Promise.resolve();
  }
}

interface Case {
  readonly name: string;
  readonly request: string;
  readonly pipelined: number;
}

const HEADERS_20 = Array.from(
  { length: 19 },
  (_, index) => `x-header-${index}: value of header number ${index}\r\n`,
).join("");

const CASES: readonly Case[] = [
  { name: "static-p16", request: "GET / HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n", pipelined: 16 },
  { name: "param-p16", request: "GET /hello/ada HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n", pipelined: 16 },
  { name: "static-p1", request: "GET / HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n", pipelined: 1 },
  { name: "headers20-p1", request: `GET / HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n${HEADERS_20}\r\n`, pipelined: 1 },
  { name: "json-p16", request: "GET /json HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n", pipelined: 16 },
];

function createApp(): App {
  const app = new App();
  app.get("/", (c) => c.text("hello"));
  app.get("/hello/:name", (c) => c.text(`hello ${c.param("name")}`));
  app.get("/json", (c) => c.json({ message: "hello" }));
  return app;
}

function measure(item: Case, seconds: number): void {
  let driver: NullDriver | undefined;
  let events: DriverEvents | undefined;
  let slab: DriverOptions["receiveSlab"] | undefined;
  const server = new HttpServer(createApp(), {
    sizes: { connectionsMax: 1, writePoolBytes: 16 * MIB, receiveSlabBytes: MIB },
    createDriver: (options, driverEvents) => {
      events = driverEvents;
      driver = new NullDriver(options);
      const { bytes, offset } = options.receiveSlab;
      Buffer.from(bytes.buffer, bytes.byteOffset).latin1Write(
        item.request.repeat(item.pipelined),
        offset,
        item.request.length * item.pipelined,
      );
      slab = options.receiveSlab;
      return driver;
    },
  });
  if (driver === undefined || events === undefined || slab === undefined) throw new Error("The server made no driver");
  const length = item.request.length * item.pipelined;
  events.accepted(0, 0);
  const run = (batches: number): void => {
    for (let batch = 0; batch < batches; batch++) {
      events!.received(0, slab!.bytes, slab!.offset, length);
      driver!.flush();
    }
  };
  const batch = Math.ceil(20_000 / item.pipelined);
  const end = performance.now() + seconds * 500;
  while (performance.now() < end) run(batch);
  const best = bestOf(run, batch, seconds);
  const requests = server.stats.requests;
  if (server.stats.answers2xx !== requests) throw new Error("An answer was no 200");
  const heap = heapBytes(run, batch) / (batch * item.pipelined);
  const nanoseconds = (best * 1000) / (batch * item.pipelined);
  console.log(
    `${item.name.padEnd(14)} ${nanoseconds.toFixed(0).padStart(6)} ns/request ${heap.toFixed(0).padStart(6)} heap bytes/request`,
  );
  void server.close();
}

/** The best of many batches, in microseconds of CPU time: other processes on the machine only ever make it worse. */
function bestOf(run: (batches: number) => void, batch: number, seconds: number): number {
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const start = process.cpuUsage();
    run(batch);
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, user + system);
  }
  return best;
}

/** What one run allocates. Without --expose-gc it may include a collection, and is then too small. */
function heapBytes(run: (batches: number) => void, batch: number): number {
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  run(batch);
  return process.memoryUsage().heapUsed - before;
}

const seconds = Number(process.argv[2] ?? 2);
for (const item of CASES) if (process.argv[3] === undefined || process.argv[3] === item.name) measure(item, seconds);
process.exit(0);
