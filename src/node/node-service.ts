/** An app of another framework as what a shard runs. */

import { createDriver } from "../driver/choose.js";
import type { Driver, ListenAddress, Listening } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import type { HttpLimits } from "../http/limits.js";
import { forMessages, withMessages } from "../messages/shard-messages.js";
import { AccessLog } from "../observe/access-log.js";
import { logSettings, writeLogLines } from "../observe/log.js";
import type { ServiceDrainReport, ShardService } from "../runtime/shard.js";
import type { DrainOptions, ShardAssignment } from "../runtime/shard-protocol.js";
import { shardWake } from "../scheduler/shard-seat.js";
import { applyLimits } from "./node-limits.js";
import { NodeServer } from "./node-server.js";
import { type NodeTarget, nodeTargetOf } from "./node-target.js";

class NodeService implements ShardService {
  readonly lifecycle: unknown;
  readonly #node: NodeServer;
  readonly #target: NodeTarget;

  constructor(node: NodeServer, target: NodeTarget, lifecycle: unknown) {
    this.#node = node;
    this.#target = target;
    this.lifecycle = lifecycle;
  }

  get driver(): Driver {
    return this.#node.driver;
  }

  get driverStats(): object {
    return this.#node.driver.stats;
  }

  get serviceStats(): object {
    return this.#node.stats;
  }

  listen(target: number | ListenAddress): Promise<Listening> {
    return this.#node.listen(target);
  }

  adopt(descriptor: number): boolean {
    return this.#node.adopt(descriptor);
  }

  async drain(options: DrainOptions, listenerStopped: () => Promise<void>): Promise<ServiceDrainReport> {
    const report = await this.#node.drain({ ...options, listenerStopped });
    await this.#node.close();
    await this.#target.close();
    return report;
  }

  cut(): void {
    this.#node.cut();
  }
}

/** The service for what a module exports (its app, and its hooks, unchecked); undefined when the app is none that `node:http` could serve. */
export async function nodeServiceOf(
  { exported, lifecycle }: { readonly exported: unknown; readonly lifecycle: unknown },
  assignment: ShardAssignment,
  limits: Partial<HttpLimits>,
): Promise<ShardService | undefined> {
  const target = await nodeTargetOf(exported);
  if (target === undefined) return undefined;
  if (assignment.tls !== undefined)
    throw new RingloomError(
      "ERR_RINGLOOM_UNSUPPORTED",
      "Cannot serve an app of another framework with TLS options: give it a server of node:https, or put TLS in front of it.",
      { operation: "load" },
    );
  const { writeTimeoutMs } = applyLimits(target.server, limits);
  const node = new NodeServer(target.server, {
    createDriver: (options, events) =>
      forMessages(
        createDriver(assignment.driver, { ...options, wake: withMessages(shardWake(assignment.scheduler)) }, events),
      ),
    sizes: assignment.sizes,
    writeTimeoutMs,
    ...(assignment.accessLog
      ? { accessLog: new AccessLog(logSettings().format, assignment.shard, writeLogLines) }
      : {}),
  });
  return new NodeService(node, target, lifecycle);
}
