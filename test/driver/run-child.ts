/** Runs the programs beside this file: what a test needs a process of its own for. */
import assert from "node:assert/strict";
import { type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import type { Server, Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { Peer } from "../support/peer.js";

export interface ChildSetup {
  /** Arguments behind the driver's name. */
  readonly args?: readonly string[];
  /** What the child has as descriptor 3 instead of one end of a pair. Closed here when the child has it. */
  readonly third?: Server | Socket;
  /** Called when the child runs, with the other end of the pair. */
  readonly meet?: (socket: Socket) => unknown;
  /** The limit of open descriptors. */
  readonly descriptorsMax?: number;
}

/** Runs a program beside this file with a driver's name and descriptor 3, and reads the JSON line that it prints. */
export async function runChild(file: string, driver: string, setup: ChildSetup = {}): Promise<unknown> {
  const { args = [], third, meet, descriptorsMax } = setup;
  const path = fileURLToPath(new URL(file, import.meta.url));
  const stdio: StdioOptions = ["ignore", "pipe", "inherit", third === undefined ? "pipe" : descriptorOf(third)];
  const command = [process.execPath, path, driver, ...args];
  // Node raises its soft limit to the hard one as it starts, so only a shell's limit, which is both, holds.
  if (descriptorsMax !== undefined) command.unshift("/bin/sh", "-c", `ulimit -n ${descriptorsMax} && exec "$0" "$@"`);
  const child = spawn(command[0]!, command.slice(1), { stdio, timeout: 30_000 });
  // Once the child has it, only the child may accept.
  if (third !== undefined && "destroy" in third) third.destroy();
  else third?.close();
  const output = new Peer(child.stdio[1] as Socket);
  void meet?.(child.stdio[3] as Socket);
  const [code] = await once(child, "close");
  assert.equal(code, 0, `${file} ended with ${code}: ${output.text}`);
  return JSON.parse(output.text);
}

/** There is no public way to ask a server or a socket for its descriptor. */
function descriptorOf(socket: Server | Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}
