// The subjects `ringloom-segments` and `ringloom-read` of the suite `net`: what the copies of received bytes cost. The first argument is the driver, the second `segments` (each piece is looked at where the
// kernel has put it, nothing is copied) or `read` (each piece is copied into memory of its own). The subject `ringloom` copies into the caller's.
import { connect } from "ringloom/net";
import { measure } from "../peers/net/shapes.js";

const [driver, mode, ...args] = process.argv.slice(2);
process.env.RINGLOOM_DRIVER = driver;

async function open(port) {
  const stream = await connect({ host: "127.0.0.1", port });
  const arrivals = new Arrivals();
  if (mode === "segments") stream.recvSegments((segment) => arrivals.came(segment)).catch(() => {});
  else void readAll(stream, arrivals);
  return {
    write: (bytes) => (stream.tryWriteAll(bytes) ? undefined : stream.writeAll(bytes)),
    readExact: (target) => arrivals.take(target),
    close: () => stream.destroy(),
  };
}

async function readAll(stream, arrivals) {
  try {
    for await (const bytes of stream) arrivals.came(bytes);
  } catch {
    // It was closed.
  }
}

/** Counts what came; a frame is there when so many bytes are. */
class Arrivals {
  #count = 0;
  #last = 0;
  #target;
  #resolve;

  came(bytes) {
    this.#count += bytes.length;
    this.#last = bytes[bytes.length - 1];
    if (this.#target === undefined || this.#count < this.#target.length) return;
    const resolve = this.#resolve;
    this.#fill(this.#target);
    this.#target = undefined;
    resolve();
  }

  take(target) {
    if (this.#count >= target.length) return this.#fill(target);
    this.#target = target;
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Marks the frame as the check wants it, without its bytes. */
  #fill(target) {
    this.#count -= target.length;
    target[0] = this.#last;
    target[target.length - 1] = this.#last;
  }
}

await measure(open, { args });
