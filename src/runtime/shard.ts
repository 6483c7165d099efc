/**
 * The shard's side of its life: assigned, started, ready, draining, gone. It knows no protocol of the network: what it runs is a
 * {@link ShardService}. Everything here runs on the shard's own thread.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { DriverStats, ListenAddress, Listening } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { checkNative, loadNative, requireNative } from "../native.js";
import { configureLog } from "../observe/log.js";
import { LoopMonitor, libuvIdleMs } from "../observe/loop-monitor.js";
import { Pulses } from "../observe/pulse.js";
import {
  type DrainOptions,
  type DrainReport,
  type MessageFromShard,
  type MessageToShard,
  type ShardAssignment,
  toShardError,
} from "./shard-protocol.js";
import { RuntimeView, setRuntimeView } from "./stats.js";

/** What a shard runs. */
export interface ShardService {
  /** Current counters of the driver; only the numbers among its fields count. */
  readonly driverStats: object;
  /** Current counters of the service itself. */
  readonly serviceStats: object;
  listen(target: number | ListenAddress): Promise<Listening>;
  /**
   * Finishes what was begun. Calls `listenerStopped` as soon as nobody waits to be accepted any more, and sends no client away
   * before its promise has resolved.
   */
  drain(options: DrainOptions, listenerStopped: () => Promise<void>): Promise<DrainReport>;
  /** Cuts what is left; a drain in progress then ends soon. */
  cut(): void;
}

/**
 * Runs a shard on this worker thread: takes the assignment, starts the service, and obeys the supervisor. A failure to start is
 * reported to the supervisor, and the thread ends.
 */
export async function runShard(start: (assignment: ShardAssignment) => Promise<ShardService>): Promise<void> {
  if (isMainThread || parentPort === null) {
    throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", "Cannot run a shard: this is not a worker thread.", {
      operation: "run shard",
    });
  }
  const port = parentPort;
  // The cast is safe because the supervisor of the same build makes it.
  const assignment = workerData as ShardAssignment;
  configureLog(assignment.log, assignment.shard);
  try {
    // Node reads the map of a module when it loads it, so this comes before the user's.
    if (assignment.sourceMaps) process.setSourceMapsEnabled(true);
    if (assignment.cpu !== undefined) {
      checkNative(requireNative().setAffinity([assignment.cpu]), "set the CPU affinity", { cpu: assignment.cpu });
    }
    // The view exists before the module is loaded, so that its top level may already ask for statistics.
    const view = new RuntimeView(assignment.counters, assignment.shard, assignment.facts);
    setRuntimeView(view);
    const service = await start(assignment);
    view.start({ driver: () => service.driverStats, service: () => service.serviceStats });
    view.monitor(monitorLoop(assignment, service));
    const { host, port: portNumber } = await service.listen(ownTarget(assignment));
    obey(port, service, view, assignment);
    send(port, { type: "ready", host, port: portNumber });
  } catch (error) {
    send(port, { type: "failed", error: toShardError(error) });
    endThread(1);
  }
}

/** Begins to sample this thread's event loop. Not before the module has loaded: a long load is not a blocked loop. */
function monitorLoop({ shard, pulses }: ShardAssignment, service: ShardService): LoopMonitor {
  const monitor = new LoopMonitor({
    shard,
    pulses: new Pulses(pulses),
    waits() {
      const { asleepMicros = 0, spinningMicros = 0 } = service.driverStats as Partial<DriverStats>;
      return { asleepMs: asleepMicros / 1_000 + libuvIdleMs(), spinningMs: spinningMicros / 1_000 };
    },
  });
  monitor.start();
  return monitor;
}

/**
 * What this shard listens on. The portable driver closes what it is given, so it gets a duplicate, made at the last moment: one that is made before the module has
 * loaded would stay open if that fails. libuv makes the socket non-blocking, for the original too, which no other thread uses.
 */
function ownTarget({ driver, shard, target }: ShardAssignment): number | ListenAddress {
  if (driver !== "portable" || typeof target !== "number") return target;
  return checkNative<number>(requireNative().duplicate(target), "duplicate the listening socket", { shard });
}

function obey(port: MessagePort, service: ShardService, view: RuntimeView, assignment: ShardAssignment): void {
  let isDraining = false;
  let nobodyListens: () => void = () => undefined;
  const othersStopped = new Promise<void>((resolve) => {
    nobodyListens = resolve;
  });
  port.on("message", (message: MessageToShard) => {
    switch (message.type) {
      case "drain":
        if (isDraining) return;
        isDraining = true;
        void drain(port, service, view, message, () => {
          closeListener(port, assignment);
          return othersStopped;
        });
        return;
      case "nobodyListens":
        nobodyListens();
        return;
      case "cut":
        nobodyListens();
        service.cut();
        return;
    }
  });
}

async function drain(
  port: MessagePort,
  service: ShardService,
  view: RuntimeView,
  options: DrainOptions,
  listenerStopped: () => Promise<void>,
): Promise<void> {
  try {
    const report = await service.drain(options, listenerStopped);
    view.stop();
    send(port, { type: "drained", report });
    endThread(0);
  } catch (error) {
    send(port, { type: "failed", error: toShardError(error) });
    endThread(1);
  }
}

/**
 * Closes the supervisor's descriptor in the turn in which nobody waited in its queue: each microsecond more is one in which a
 * connection could still arrive, to be reset. The message leaves first: should this thread end in between, a descriptor stays open,
 * whereas in the other order the supervisor could close a number that already names something else.
 */
function closeListener(port: MessagePort, assignment: ShardAssignment): void {
  send(port, { type: "listenerStopped" });
  const { driver, target } = assignment;
  // The portable driver has closed what it was given.
  if (driver !== "portable" && typeof target === "number") loadNative()?.closeDescriptor(target);
}

function send(port: MessagePort, message: MessageFromShard): void {
  port.postMessage(message);
}

/**
 * Ends this thread and not the process. A module's own timers would keep it alive for ever; `process.exit` in a worker stops only
 * the worker, runs its "exit" listeners, and what was posted before still arrives. One turn later, because a worker's console
 * is flushed by the loop.
 */
function endThread(code: number): void {
  setImmediate(() => process.exit(code));
}
