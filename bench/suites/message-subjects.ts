/**
 * The subjects of the suite `messages`.
 *
 * `ringloom` and its variants are two shards that talk through the public API (apps/shard-pair.js): a message is checked, numbered, and may be a value of any kind. `ringloom-lane` is the bare structure below it, between
 * two threads that do nothing else, as the peers over shared memory are: a link module with `BYTES` and `open(buffer, side, regime)` (see peers/pairs/sync-pair.js).
 */

import { programPath, tokioPath, tokioVersion } from "../harness/prepare.js";
import type { ProgramSubject } from "../harness/programs.js";

/** All subjects. */
export const messageSubjects: readonly ProgramSubject[] = [
  node(
    "messageport",
    "postMessage; busy: receiveMessageOnPort in a loop",
    ["bench/peers/pairs/messageport.js", "-"],
    ["rtt-busy", "rtt-parked", "one-way", "cold-start", "warm-start"],
  ),
  node("atomics", "a ring of words each way, Atomics.wait and notify", [
    "bench/peers/pairs/sync-pair.js",
    "bench/peers/pairs/words.js",
  ]),
  shards(
    "ringloom",
    "uring",
    "uring driver; busy: tryNextEvent in a loop; else nextEvents, one way sent in parts of 256",
  ),
  shards("ringloom-each", "uring-each", "uring driver, messages received one by one: nextEvent, then tryNextEvent", [
    "rtt-parked",
    "one-way",
  ]),
  shards("ringloom-direct", "uring-direct", "uring driver, each message told by IORING_OP_MSG_RING", [
    "rtt-adaptive",
    "rtt-parked",
    "warm-start",
  ]),
  shards("ringloom-epoll", "epoll", "epoll driver", ["rtt-parked", "one-way"]),
  {
    ...node(
      "ringloom-lane",
      "src/shared/lane.ts between two threads, Atomics.wait and notify; one way, published in batches of 64",
      ["bench/peers/pairs/sync-pair.js", "bench/apps/lane-link.js"],
    ),
    needs: ["ringloom", "lane"],
  },
  tokio("tokio", "one runtime, 2 workers, may hand over on one thread", "workers", [
    "rtt-adaptive",
    "one-way",
    "cold-start",
    "warm-start",
  ]),
  tokio("tokio-2rt", "two current-thread runtimes, each message crosses", "runtimes", [
    "rtt-busy",
    "rtt-parked",
    "one-way",
    "cold-start",
    "warm-start",
  ]),
  tokio("tokio-b64", "2 workers, 64 values in a message", "batched", ["one-way"]),
  {
    name: "c-futex",
    about: () => "bench/peers/futex-pair.c: the ring of words of atomics in C, futex; the limit",
    needs: ["futex"],
    executable: programPath("futex-pair"),
    args: [],
  },
  {
    name: "c-msg_ring",
    about: () => "bench/peers/msg-ring-pair.c: IORING_OP_MSG_RING, one way in batches of 64",
    needs: ["msg-ring"],
    executable: programPath("msg-ring-pair"),
    args: [],
  },
];

function shards(name: string, variant: string, about: string, cases?: readonly string[]): ProgramSubject {
  const subject: ProgramSubject = {
    name,
    about: () => `shard.sendNoWait and sendManyNoWait between 2 shards, ${about}, Node ${process.versions.node}`,
    needs: ["ringloom"],
    executable: process.execPath,
    args: ["bench/apps/shard-pair.js", variant],
  };
  return cases === undefined ? subject : { ...subject, cases };
}

function node(
  name: string,
  about: string,
  pair: readonly [kind: string, link: string],
  cases?: readonly string[],
): ProgramSubject {
  const args = ["bench/peers/pairs/main.js", ...pair];
  const subject = {
    name,
    about: () => `${about}, Node ${process.versions.node}`,
    needs: [],
    executable: process.execPath,
    args,
  };
  return cases === undefined ? subject : { ...subject, cases };
}

function tokio(name: string, about: string, variant: string, cases: readonly string[]): ProgramSubject {
  return {
    name,
    about: () => `Tokio ${tokioVersion()}, ${about}`,
    needs: ["tokio"],
    executable: tokioPath,
    args: ["messages", variant],
    cases,
  };
}
