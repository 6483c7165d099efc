/**
 * Sends the corpus through a proxy to the server, over connections that the proxy keeps alive and shares among its clients. The proxy marks every request that
 * it sends on: one that arrives without the mark was a part of another for the proxy, and a body with the mark in it was a request of its own.
 */
import { connect } from "node:net";
import { App } from "../../../src/http/index.js";
import type { DriverUnderTest } from "../../support/drivers.js";
import { SocketServer } from "../../support/test-server.js";
import { type Mutation, numbered, targetsOf } from "./corpus.js";
import { FRONT_FIELD, type Front, type FrontProxy } from "./fronts.js";

export interface FrontScore {
  readonly front: string;
  readonly version: string;
  readonly mutations: number;
  /** Mutations whose visible request the handler saw. */
  readonly accepted: number;
  readonly problems: readonly string[];
}

/** Clients at a time. */
const CONCURRENCY = 48;
/** Without a byte for so long, a client goes: the proxy waits for something that will not come. */
const QUIET_MS = 300;
const AFTER = Buffer.from("GET /after HTTP/1.1\r\nHost: front.example\r\nConnection: close\r\n\r\n");

/** What the handler was shown. */
export interface Sighting {
  readonly target: string;
  readonly isMarked: boolean;
  readonly body: string;
}

/** Runs all of `corpus` through every front of `proxy`. */
export async function runThroughProxy(
  proxy: FrontProxy,
  driver: DriverUnderTest,
  corpus: readonly Mutation[],
): Promise<FrontScore[]> {
  const sightings: Sighting[] = [];
  const server = await SocketServer.start(driver, sightingApp(sightings));
  try {
    const running = await proxy.start(server.port);
    try {
      const scores: FrontScore[] = [];
      for (const front of running.fronts) {
        sightings.length = 0;
        await sendAll(front, corpus);
        // What a proxy still has from clients that went.
        await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
        scores.push({
          front: front.name,
          version: running.version,
          mutations: corpus.length,
          ...judge(corpus, sightings),
        });
      }
      return scores;
    } finally {
      await running.stop();
    }
  } finally {
    await server.close();
  }
}

/** How many mutations the handler saw, and what it saw otherwise than the proxy did. */
export function judge(
  corpus: readonly Mutation[],
  sightings: readonly Sighting[],
): Pick<FrontScore, "accepted" | "problems"> {
  const nameOf = new Map(corpus.map(({ name }, index) => [targetsOf(index).smuggled, name]));
  const mark = `${FRONT_FIELD.toLowerCase()}:`;
  const problems = sightings.flatMap(({ target, isMarked, body }) => {
    const told = `${nameOf.get(target) ?? ""} ${target}`.trim();
    if (!isMarked) return [`${told}: the server saw a request that the proxy had not seen`];
    if (body.toLowerCase().includes(mark)) return [`${told}: the server took a request of the proxy for a body`];
    return [];
  });
  const seen = new Set(sightings.map(({ target }) => target));
  return { accepted: corpus.filter((_, index) => seen.has(targetsOf(index).outer)).length, problems };
}

function sightingApp(sightings: Sighting[]): App {
  const app = new App();
  app.notFound(async (c) => {
    const head = c.liveHead();
    const [target, isMarked] = [head.target(), c.header(FRONT_FIELD) !== undefined];
    const body = Buffer.from(await c.bytes()).toString("latin1");
    sightings.push({ target, isMarked, body });
    return c.text("ok", 200);
  });
  return app;
}

async function sendAll(front: Front, corpus: readonly Mutation[]): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < corpus.length) {
      const index = next++;
      await sendOne(front.path, numbered(corpus[index]!, index));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, client));
}

/** Resolves when the proxy has closed the connection, or says nothing more. */
function sendOne(path: string, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("data", () => undefined);
    socket.on("close", () => resolve());
    socket.write(Buffer.concat([bytes, AFTER]));
  });
}
