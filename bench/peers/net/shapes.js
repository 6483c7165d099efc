// What the JavaScript clients of the suite `net` share: the shapes, and how they are measured.
//
//     <client> PORT FRAME_BYTES CONNECTIONS STEPS HOT COLD ROTATES WINDOW HOT_WORK COLD_WORK WARMUP_SECONDS SECONDS [DISPATCHES]
//
// Each connection runs STEPS steps by itself: HOT frames where it is hot, COLD ones where it is not, in windows: WINDOW frames are written, one call each, then as many are read back. Hot is the
// first connection, or with ROTATES 1 the one whose number is the step's modulo CONNECTIONS. Behind each frame that came back come HOT_WORK or COLD_WORK steps of the kernel, and DISPATCHES values of 1 to one
// of two owners, by turns with each step: functions, or tasks, that add up what comes until their channel is closed, at the end of the iteration. An iteration is
// over when all connections are; they stay open. With FRAME_BYTES 0 the program is its own server (PORT is 0): an iteration is HOT connects and accepts, CONNECTIONS at a time; the server
// closes, then the client. Prints {"count": frames that came back (or connections), "ns", "cpuNs", "sum"}.
import { burn } from "../kernel.js";

/**
 * @param open connects to a port of 127.0.0.1 and gives { write(bytes), readExact(target), close() }; both return a promise, or undefined when it is done already.
 * @param openServer opens a server that closes what it accepts, and gives { visit(), close() }; visit() resolves when a connection to it was made and is gone.
 * @param openOwner starts an owner, and gives { dispatch(value), close() }; the one returns a promise, or undefined when the value is taken, the other resolves with the sum.
 */
export async function measure(open, { args = process.argv.slice(2), openServer, openOwner = openMailbox } = {}) {
  const numbers = args.map(Number);
  const [port, frameBytes, connections, steps, hot, cold, rotates, window, hotWork, coldWork, warmup, seconds] =
    numbers;
  const dispatches = numbers[12] ?? 0;
  if (frameBytes === 0) return await measureVisits(openServer, { connections, hot, warmup, seconds });
  const plan = {
    connections,
    steps,
    hot,
    cold,
    rotates: rotates === 1,
    window,
    hotWork,
    coldWork,
    dispatches,
    openOwner,
  };
  const streams = await Promise.all(
    Array.from({ length: connections }, async () => {
      const frame = new Uint8Array(frameBytes).fill(0x5a);
      return { stream: await open(port), frame, back: new Uint8Array(frameBytes), count: 0, sum: 0 };
    }),
  );
  await runFor(streams, plan, warmup);
  const cpuBefore = process.cpuUsage();
  const { count, ns, sum } = await runFor(streams, plan, seconds);
  const cpu = process.cpuUsage(cpuBefore);
  for (const { stream } of streams) stream.close();
  console.log(JSON.stringify({ count, ns, cpuNs: (cpu.user + cpu.system) * 1_000, sum }));
}

async function measureVisits(openServer, { connections, hot, warmup, seconds }) {
  const { visit, close } = await openServer();
  const visitFor = async (time) => {
    const started = performance.now();
    let count = 0;
    do {
      let left = hot;
      const visitor = async () => {
        while (left-- > 0) await visit();
      };
      await Promise.all(Array.from({ length: connections }, visitor));
      count += hot;
    } while (performance.now() - started < time * 1_000);
    return { count, ns: (performance.now() - started) * 1e6 };
  };
  await visitFor(warmup);
  const cpuBefore = process.cpuUsage();
  const { count, ns } = await visitFor(seconds);
  const cpu = process.cpuUsage(cpuBefore);
  close();
  console.log(JSON.stringify({ count, ns, cpuNs: (cpu.user + cpu.system) * 1_000, sum: 0 }));
}

async function runFor(streams, plan, seconds) {
  for (const one of streams) one.count = one.sum = 0;
  const started = performance.now();
  do {
    if (plan.dispatches > 0) await runKeyed(streams, plan);
    else if (streams.length === 1) await runOne(streams[0], 0, plan);
    else await Promise.all(streams.map((one, index) => runOne(one, index, plan)));
  } while (performance.now() - started < seconds * 1_000);
  const ns = (performance.now() - started) * 1e6;
  const total = (name) => streams.reduce((sum, one) => sum + one[name], 0);
  return { count: total("count"), ns, sum: total("sum") >>> 0 };
}

async function runKeyed(streams, plan) {
  const framesBefore = streams.reduce((sum, { count }) => sum + count, 0);
  const owners = [plan.openOwner(), plan.openOwner()];
  await Promise.all(streams.map((one, index) => runOne(one, index, plan, owners)));
  const sums = await Promise.all(owners.map((owner) => owner.close()));
  const frames = streams.reduce((sum, { count }) => sum + count, 0) - framesBefore;
  if (sums[0] + sums[1] !== frames * plan.dispatches) throw new Error("the owners have not got what was sent");
}

/** An owner as one writes it without a library: a queue, and a function that waits for it. */
function openMailbox() {
  let queue = [];
  let isClosed = false;
  let wake = () => {};
  const run = async () => {
    let sum = 0;
    for (;;) {
      const batch = queue;
      queue = [];
      for (const value of batch) sum += value;
      if (batch.length > 0) continue;
      if (isClosed) return sum;
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
  };
  const done = run();
  return {
    dispatch: (value) => {
      if (queue.push(value) === 1) wake();
    },
    close: () => {
      isClosed = true;
      wake();
      return done;
    },
  };
}

async function runOne(one, index, plan, owners) {
  const { connections, steps, hot, cold, rotates, window, hotWork, coldWork, dispatches } = plan;
  const { stream, frame, back } = one;
  for (let step = 0; step < steps; step++) {
    const isHot = (rotates ? step % connections : 0) === index;
    const work = isHot ? hotWork : coldWork;
    for (let left = isHot ? hot : cold; left > 0; ) {
      const batch = Math.min(window, left);
      for (let i = 0; i < batch; i++) {
        const writing = stream.write(frame);
        if (writing !== undefined) await writing;
      }
      for (let i = 0; i < batch; i++) {
        const reading = stream.readExact(back);
        if (reading !== undefined) await reading;
        if (back[0] !== 0x5a || back[back.length - 1] !== 0x5a) throw new Error("the echo is not what was sent");
        back[0] = 0;
        one.count++;
        if (work > 0) one.sum = (one.sum + burn(one.count, work)) >>> 0;
        for (let left = dispatches; left > 0; left--) {
          const dispatching = owners[step % 2].dispatch(1);
          if (dispatching !== undefined) await dispatching;
        }
      }
      left -= batch;
    }
  }
}

/** Bytes that were pushed, for clients whose sockets push: readExact() waits until there are enough. One read at a time. */
export class Inbox {
  #chunks = [];
  #start = 0;
  #length = 0;
  #target;
  #resolve;

  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#target === undefined || this.#length < this.#target.length) return;
    const resolve = this.#resolve;
    this.#fill(this.#target);
    this.#target = undefined;
    resolve();
  }

  readExact(target) {
    if (this.#length >= target.length) {
      this.#fill(target);
      return undefined;
    }
    this.#target = target;
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  #fill(target) {
    let filled = 0;
    while (filled < target.length) {
      const chunk = this.#chunks[0];
      const count = Math.min(chunk.length - this.#start, target.length - filled);
      target.set(chunk.subarray(this.#start, this.#start + count), filled);
      filled += count;
      this.#start += count;
      if (this.#start < chunk.length) continue;
      this.#chunks.shift();
      this.#start = 0;
    }
    this.#length -= filled;
  }
}
