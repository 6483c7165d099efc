/** The servers that are measured, as data: a new one joins by joining this list. */
import { join } from "node:path";
import type { HttpCase } from "./load.js";
import { peersDirectory } from "./machine.js";
import { type Need, peerVersion, programPath } from "./prepare.js";

/** A server that answers the cases of a suite and prints `listening http://<host>:<port>`. */
export interface Subject {
  readonly name: string;
  /** What it is, for the report; called after its needs are met. */
  readonly about: () => string;
  readonly needs: readonly Need[];
  /** `node` subjects take V8 flags in front of their script, and their heap can be measured. */
  readonly executable: string;
  readonly isNode: boolean;
  readonly args: readonly string[];
  /** More arguments for one case. */
  readonly argsFor?: (httpCase: HttpCase) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Text in the server's error output that means "this machine cannot have it", in contrast to a failure. */
  readonly unavailable?: RegExp;
}

const peerCommand = (name: string): string => join(peersDirectory, "node_modules/.bin", name);

/** All subjects of the suites `http` and `heap`. */
export const httpSubjects: readonly Subject[] = [
  ringloom("ringloom", "App, uring driver, 1 shard", "ringloom.js", "uring"),
  ringloom("ringloom-fetch", "fetch handler, uring driver, 1 shard", "ringloom-fetch.js", "uring"),
  ringloom("ringloom-epoll", "App, epoll driver, 1 shard", "ringloom.js", "epoll"),
  ringloom("ringloom-portable", "App, portable driver, 1 shard", "ringloom.js", "portable"),
  {
    name: "c-io_uring",
    about: () => "bench/peers/http-responder.c: fixed answers, no parser, the limit",
    needs: ["responder"],
    executable: programPath("http-responder"),
    isNode: false,
    args: ["--host", "127.0.0.1", "--port", "0"],
    argsFor: ({ expectBody, expectType }) => ["--body", expectBody, "--type", expectType],
    unavailable: /io_uring_setup|register a buffer ring|register files/,
  },
  {
    name: "node-http",
    about: () => `node:http, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/node-http.js"],
  },
  {
    name: "node26-http",
    about: () => `node:http, Node ${peerVersion("node") ?? "26"}`,
    needs: ["peers"],
    executable: peerCommand("node"),
    isNode: true,
    args: ["bench/peers/node-http.js"],
  },
  {
    name: "fastify",
    about: () => `fastify ${peerVersion("fastify")}, Node ${process.versions.node}`,
    needs: ["peers"],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/fastify.js"],
  },
  {
    name: "hono",
    about: () =>
      `hono ${peerVersion("hono")}, @hono/node-server ${peerVersion("@hono/node-server")}, Node ${process.versions.node}`,
    needs: ["peers"],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/hono.js"],
  },
  {
    name: "bun",
    about: () => `Bun.serve with routes, Bun ${peerVersion("bun")}`,
    needs: ["peers"],
    executable: peerCommand("bun"),
    isNode: false,
    args: ["bench/peers/bun.js"],
  },
  {
    name: "deno",
    about: () => `Deno.serve, Deno ${peerVersion("deno")}`,
    needs: ["peers"],
    executable: peerCommand("deno"),
    isNode: false,
    args: ["run", "--allow-net", "--no-lock", "bench/peers/deno.js"],
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
  },
];

/** An app on Ringloom: `ringloom serve`, with one shard unless told otherwise. `app` is a file of bench/apps. */
export function ringloom(
  name: string,
  about: string,
  app: string,
  driver: string,
  {
    needs = [],
    shards = 1,
    flags = [],
  }: { readonly needs?: readonly Need[]; readonly shards?: number; readonly flags?: readonly string[] } = {},
): Subject {
  return {
    name,
    about: () => `${about}, Node ${process.versions.node}`,
    needs: ["ringloom", ...needs],
    executable: process.execPath,
    isNode: true,
    args: [
      "bin/ringloom.js",
      "serve",
      `bench/apps/${app}`,
      "--driver",
      driver,
      "--shards",
      String(shards),
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      ...flags,
    ],
    unavailable: /ERR_RINGLOOM_DRIVER_UNAVAILABLE/,
  };
}

/** The command that starts a subject, with V8 flags when it is one of Node's. */
export function commandOf(subject: Subject, httpCase: HttpCase | undefined, nodeFlags: readonly string[]): string[] {
  return [
    subject.executable,
    ...(subject.isNode ? nodeFlags : []),
    ...subject.args,
    ...(httpCase === undefined ? [] : (subject.argsFor?.(httpCase) ?? [])),
  ];
}
