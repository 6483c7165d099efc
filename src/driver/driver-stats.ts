import type { DriverStats } from "./contract.js";

/** Counters at zero. */
export function newDriverStats(): DriverStats {
  return {
    accepted: 0,
    rejected: 0,
    handshakesFailed: 0,
    connectionsNow: 0,
    receivedBytes: 0,
    sentBytes: 0,
    staleCompletions: 0,
    receiveStarved: 0,
    writeStarved: 0,
    submissionQueueFull: 0,
    completionOverflows: 0,
    turns: 0,
    batched: 0,
    rung: 0,
    enters: 0,
    asleepMicros: 0,
    spinningMicros: 0,
    writeBlocksNow: 0,
    receiveBuffersNow: 0,
  };
}
