/** The subjects of the suite `net`: each is a client of the same echo server. Its arguments are what peers/net/shapes.js says. */
import { join } from "node:path";
import { peersDirectory } from "../harness/machine.js";
import { goVersion, peerVersion, programPath, tokioPath, tokioVersion } from "../harness/prepare.js";
import type { ProgramSubject } from "../harness/programs.js";

/** For the clients that have no server of their own. */
const streamCases = [
  "net_echo_rtt_256b",
  "net_stream_throughput_4k_window32",
  "net_stream_imbalanced_4k_hot1_light7",
  "net_stream_hotspot_rotation_4k",
  "net_pipeline_hotspot_rotation_4k_window32",
];

/** Where what is received is worth a look. */
const copyCases = ["net_echo_rtt_256b", "net_stream_throughput_4k_window32"];

/** All subjects. */
export const netSubjects: readonly ProgramSubject[] = [
  ringloom("ringloom", "uring"),
  ringloom("ringloom-epoll", "epoll"),
  copies("ringloom-segments", "segments", "recvSegments, no copy of what is received"),
  copies("ringloom-read", "read", "a copy of each piece in memory of its own"),
  {
    name: "node-net",
    about: () => `node:net, one thread, Node ${process.versions.node}`,
    needs: ["net-echo"],
    executable: process.execPath,
    args: ["bench/peers/net/node-net.js"],
  },
  {
    name: "bun",
    about: () => `Bun.connect, one thread, Bun ${peerVersion("bun")}`,
    needs: ["net-echo", "peers"],
    executable: join(peersDirectory, "node_modules/.bin/bun"),
    args: ["bench/peers/net/bun.js"],
    cases: [...streamCases, "net_keyed_hotspot_rotation_4k"],
  },
  tokio("tokio", "2 worker threads", "workers"),
  tokio("tokio-1t", "one thread", "current"),
  go("go", 2),
  go("go-1t", 1),
  {
    name: "c-io_uring",
    about: () => "bench/peers/net-ring.c: one thread, a window in one send; the limit",
    needs: ["net-echo", "net-ring"],
    executable: programPath("net-ring"),
    args: [],
    cases: streamCases,
  },
];

function ringloom(name: string, driver: string): ProgramSubject {
  return {
    name,
    about: () => `ringloom/net, one thread, ${driver} driver, Node ${process.versions.node}`,
    needs: ["net-echo", "ringloom"],
    executable: process.execPath,
    args: ["bench/apps/net.js", driver],
  };
}

function copies(name: string, mode: string, what: string): ProgramSubject {
  return {
    name,
    about: () => `ringloom/net, uring driver: ${what}`,
    needs: ["net-echo", "ringloom"],
    executable: process.execPath,
    args: ["bench/apps/net-copies.js", "uring", mode],
    cases: copyCases,
  };
}

function tokio(name: string, how: string, variant: string): ProgramSubject {
  return {
    name,
    about: () => `Tokio ${tokioVersion()}, a task for each connection, ${how}`,
    needs: ["net-echo", "tokio"],
    executable: tokioPath,
    args: ["net", variant],
  };
}

function go(name: string, threads: number): ProgramSubject {
  return {
    name,
    about: () => `${goVersion()}, a goroutine for each connection, GOMAXPROCS ${threads}`,
    needs: ["net-echo", "go"],
    executable: programPath("go-peer"),
    args: ["net", String(threads)],
  };
}
