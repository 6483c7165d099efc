/**
 * The chat: who is connected to which shard does not matter. Messages travel by a topic to the sockets of all shards; what was said before, and how many listen, is in one actor, on the shard that owns its key.
 */
import { readFileSync } from "node:fs";
import { actor, runtimeStats } from "ringloom";

const TOPIC = "chat";
const HISTORY_MAX = 50;
const NAME_LENGTH_MAX = 24;
const TEXT_LENGTH_MAX = 500;
const REPORT_MS = 5_000;
/** A socket may say so many things in so long. */
const BURST_MAX = 8;
const BURST_MS = 4_000;

/** Adds the page and the sockets of the chat to the demo. */
export function addChat(app) {
  /** The one place where messages get their numbers, so that all see them in one order: its shard publishes them. */
  class Lobby {
    #history = [];
    #lastId = 0;
    #online = new Map();
    #shown = -1;

    say(name, text) {
      const message = { id: ++this.#lastId, name, text, atMs: Date.now() };
      this.#history.push(message);
      if (this.#history.length > HISTORY_MAX) this.#history.shift();
      app.publish(TOPIC, JSON.stringify({ message }));
    }

    past() {
      return { history: this.#history, online: this.#count() };
    }

    /** How many listen on one shard. A shard that died says nothing more, and its successor speaks for itself. */
    report(shard, count) {
      this.#online.set(shard, { count, atMs: Date.now() });
      const online = this.#count();
      if (online !== this.#shown) app.publish(TOPIC, JSON.stringify({ online }));
      this.#shown = online;
    }

    #count() {
      let sum = 0;
      for (const { count, atMs } of this.#online.values()) if (Date.now() - atMs < 3 * REPORT_MS) sum += count;
      return sum;
    }
  }

  const lobby = actor("demo-lobby", Lobby)("lobby");
  const report = () => lobby.report(runtimeStats().shard, app.subscriberCount(TOPIC)).catch(() => undefined);
  let isReporting = false;

  const page = readFileSync(new URL("./chat.html", import.meta.url), "utf8");
  app.get("/chat", (c) => c.html(page));
  app.ws("/chat/live", {
    upgrade: (c) => ({ name: (c.query("name") ?? "").trim().slice(0, NAME_LENGTH_MAX) || "Somebody", said: [] }),
    async open(ws) {
      // First subscribe, then ask: what is said meanwhile comes twice, and the page tells by the number.
      ws.subscribe(TOPIC);
      if (!isReporting) setInterval(report, REPORT_MS).unref();
      isReporting = true;
      await report();
      ws.send(JSON.stringify({ ...(await lobby.past()), shard: runtimeStats().shard }));
    },
    async message(ws, message) {
      const text = String(message).trim().slice(0, TEXT_LENGTH_MAX);
      const { name, said } = ws.data;
      while (said.length > 0 && Date.now() - said[0] > BURST_MS) said.shift();
      if (said.length >= BURST_MAX) return ws.send(JSON.stringify({ note: "Not so fast." }));
      said.push(Date.now());
      // A page that missed something asks again.
      if (text === "") return ws.send(JSON.stringify(await lobby.past()));
      await lobby.say(name, text);
    },
    close: report,
    limits: { messageBytesMax: 4 * TEXT_LENGTH_MAX },
    slowConsumer: "close",
  });
}
