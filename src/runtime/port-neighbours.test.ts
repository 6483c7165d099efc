import assert from "node:assert/strict";
import { test } from "node:test";
import { laterNeighbours, parseListening } from "./port-neighbours.js";

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0
   1: 0100007F:2382 0100007F:8F52 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1
`;

test("parseListening() finds the sockets that listen, with their inodes", () => {
  assert.deepEqual(parseListening(TABLE), [{ address: "0100007F:2382", inode: "4711" }]);
  assert.deepEqual(parseListening(""), []);
});

test("laterNeighbours() finds nobody when the descriptors are no sockets", () => {
  assert.equal(laterNeighbours([0], false), 0);
  assert.equal(laterNeighbours([], true), 0);
});
