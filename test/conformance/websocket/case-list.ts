/** The cases of the Autobahn test suite for a server that echoes, by their numbers: 517 in sections 1 to 7, 9, 10, 12 and 13 (11 and 8 have none). */

import { closingCases } from "./closing-cases.js";
import { compressionCases } from "./compression-cases.js";
import { framingCases } from "./framing-cases.js";
import { largeCases } from "./large-cases.js";
import { textCases } from "./text-cases.js";
import type { WebSocketCase } from "./web-socket-case.js";

/** What the suite calls its sections. */
export const SECTIONS: ReadonlyMap<number, string> = new Map([
  [1, "framing"],
  [2, "pings and pongs"],
  [3, "reserved bits"],
  [4, "opcodes"],
  [5, "fragmentation"],
  [6, "UTF-8"],
  [7, "closing"],
  [9, "limits and performance"],
  [10, "auto-fragmentation"],
  [12, "compression, different payloads"],
  [13, "compression, different parameters"],
]);

/** All cases, in the order of their numbers. */
export function webSocketCases(): WebSocketCase[] {
  return [...framingCases(), ...textCases(), ...closingCases(), ...largeCases(), ...compressionCases()];
}

/** The section that a case belongs to. */
export function sectionOf({ id }: WebSocketCase): number {
  return Number(id.split(".", 1)[0]);
}
