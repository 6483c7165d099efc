/** Adopts descriptor 3, a socket that the parent holds the other end of, answers in capitals, and prints what happened. */
import { childDriver } from "./child-driver.js";

const events: string[] = [];
const driver = childDriver({
  received(slot, bytes, offset, length) {
    const text = Buffer.from(bytes.subarray(offset, offset + length)).toString();
    events.push(`received ${text}`);
    const answer = Buffer.from(text.toUpperCase());
    const at = driver.reserve(slot, answer.length);
    driver.writeBytes.set(answer, at);
    driver.commit(slot, answer.length);
  },
  ended(slot) {
    events.push("ended");
    driver.closeAfterFlush(slot);
  },
  closed(_, errno) {
    events.push(`closed ${errno}`);
    void driver.shutdown().then(() => process.stdout.write(JSON.stringify({ events, badDescriptor })));
  },
});

const badDescriptor = codeOf(() => driver.adopt(9999));
if (driver.adopt(3) < 0) throw new Error("there was no slot");

function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
