/** What runs on a compute thread for `continueWith`: the steps of a chain, each of which is a task that this thread spawns, and most often runs. */
import type { ChainStep } from "./continue-with.js";
import { type Tasks, tasks } from "./tasks.js";
import type { TransferItem } from "./transfer.js";

type AnyModule = Record<string, (...args: readonly unknown[]) => Promise<unknown>>;

/** One proxy for each module, since each remembers its functions' numbers. */
const proxies = new Map<string, Tasks<AnyModule>>();

/** Runs the steps one behind the other, each with the result of the one before. What was handed over to this thread (`transfer`, the same objects as in the arguments) is handed on to the first one. */
export async function runChain(
  steps: readonly ChainStep[],
  args: readonly unknown[],
  transfer?: readonly TransferItem[],
): Promise<unknown> {
  let passed = args;
  let handedOn = transfer;
  for (const { module, name, options } of steps) {
    const proxy = proxies.get(module) ?? tasks<AnyModule>(module);
    proxies.set(module, proxy);
    const how = handedOn === undefined ? options : { ...options, transfer: handedOn };
    handedOn = undefined;
    passed = [await proxy.with(how)[name]!(...passed)];
  }
  return passed[0];
}
