/**
 * An echo server: what comes goes back, in order, and not faster than the client reads.
 *
 *     PORT=7000 node examples/net/echo.js
 */
import { listen } from "ringloom/net";

const listener = await listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 7000) });
console.log(`echo on tcp://127.0.0.1:${listener.port}`);
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => listener.close());

await listener.serve(
  async (stream) => {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      // What is there already is read without a promise.
      const count = stream.tryReadSome(buffer) || (await stream.readSome(buffer));
      if (count === 0) return;
      await stream.writeAll(buffer.subarray(0, count));
    }
  },
  { onError: (error) => console.error(error.message) },
);
