// The subject `bun` of the suite `net`: Bun.connect, run by the bun executable.
import { Inbox, measure } from "./shapes.js";

await measure(async (port) => {
  const inbox = new Inbox();
  let drained;
  const rest = [];
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => inbox.push(Uint8Array.from(chunk)),
      drain: () => {
        while (rest.length > 0) {
          const bytes = rest[0];
          const taken = socket.write(bytes);
          if (taken < bytes.length) {
            rest[0] = bytes.subarray(Math.max(0, taken));
            return;
          }
          rest.shift();
        }
        drained?.();
        drained = undefined;
      },
    },
  });
  return {
    write: (bytes) => {
      const taken = rest.length > 0 ? 0 : Math.max(0, socket.write(bytes));
      if (taken === bytes.length) return undefined;
      rest.push(bytes.subarray(taken));
      return new Promise((resolve) => {
        drained = resolve;
      });
    },
    readExact: (target) => inbox.readExact(target),
    close: () => socket.end(),
  };
});
