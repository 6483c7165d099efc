/**
 * A chat: the first line that a client sends is its name, each further one goes to all others. A client that reads too slowly to keep up is put out of the room.
 *
 *     PORT=7001 node examples/net/chat.js        and then, several times: nc 127.0.0.1 7001
 */
import { listen } from "ringloom/net";

const LINE_BYTES_MAX = 1_000;

/** By name. */
const members = new Map();

const listener = await listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 7001) });
console.log(`chat on tcp://127.0.0.1:${listener.port}`);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    listener.close();
    for (const stream of members.values()) stream.close();
  });
}

await listener.serve(converse, { onError: (error) => console.error(error.message) });

async function converse(stream) {
  const lines = linesOf(stream);
  await stream.writeAll("What is your name?\n");
  const { value: name, done } = await lines.next();
  if (done || name === "" || members.has(name)) return await stream.writeAll("That name is taken.\n");
  say(`${name} is here\n`);
  members.set(name, stream);
  await stream.writeAll(`Here: ${[...members.keys()].join(", ")}\n`);
  try {
    for await (const line of lines) say(`${name}: ${line}\n`, name);
  } finally {
    members.delete(name);
    say(`${name} has left\n`);
  }
}

/** Tells everybody but the speaker. Nobody waits for anybody: whoever has no room for a line has fallen too far behind. */
function say(text, speaker) {
  const bytes = Buffer.from(text);
  for (const [name, stream] of members) {
    if (name === speaker || stream.isClosed) continue;
    if (!stream.tryWriteAll(bytes)) stream.destroy(new Error(`${name} does not read`));
  }
}

async function* linesOf(stream) {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
    rest = lines.pop();
    if (rest.length > LINE_BYTES_MAX) throw new Error("a line is too long");
    yield* lines;
  }
}
