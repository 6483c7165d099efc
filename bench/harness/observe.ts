/** What can be seen of a server from outside while load runs: memory, CPU time, system calls, and how much its JavaScript allocates. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type HttpCase, type LoadOptions, type LoadResult, runHttpLoad } from "./load.js";
import { cacheDirectory, findTool } from "./machine.js";
import { type RunningServer, run } from "./processes.js";

/** The clock ticks in which /proc/<pid>/stat counts; every Linux reports 100 to user space. */
const CLOCK_TICKS_PER_SECOND = 100;

/** V8 flags that make a process report each collection. A small young generation makes many of them, so that the ends of a window blur little. */
export const allocationFlags: readonly string[] = ["--trace-gc-nvp", "--max-semi-space-size=1"];

/** Fewer collections than this in a window leave its ends too uncertain (one collection is up to one young generation). */
const COLLECTIONS_MIN = 10;

/** Resident memory of a process in MiB, or undefined where /proc has no such process. */
export function residentMiB(pid: number): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? undefined : Number(kib) / 1024;
  } catch {
    return undefined;
  }
}

/** User and system time of a process with all its threads, in microseconds at a resolution of 10 ms, or undefined without /proc. */
export function cpuTimeUs(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name, field 2, may hold spaces: count from the parenthesis that ends it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return ((Number(fields[11]) + Number(fields[12])) * 1e6) / CLOCK_TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

/**
 * System calls a request, all threads: with `perf stat`, which does not slow the server, else with `strace -c`, which does (a slow server finds
 * more connections ready at a time, so one that batches gets a flattering figure). Undefined when neither is there or permitted.
 */
export async function systemCallsPerRequest(
  server: RunningServer,
  httpCase: HttpCase,
  options: LoadOptions,
): Promise<number | undefined> {
  const loadOptions = { ...options, warmupSeconds: 0 };
  await runHttpLoad(server, httpCase, loadOptions);
  return (await withPerf(server, httpCase, loadOptions)) ?? (await withStrace(server, httpCase, loadOptions));
}

async function withPerf(server: RunningServer, httpCase: HttpCase, options: LoadOptions): Promise<number | undefined> {
  if (findTool("perf") === undefined || process.getuid?.() !== 0) return undefined;
  const file = join(cacheDirectory, "perf-stat.txt");
  const event = "raw_syscalls:sys_enter";
  const wrapper = ["perf", "stat", "-x", ",", "-e", event, "-p", String(server.pid), "-o", file, "--"];
  const probe = await run([...wrapper, "true"], { timeoutMs: 5_000 });
  if (probe.code !== 0) return undefined;
  const { totalRequests } = await runHttpLoad(server, httpCase, { ...options, wrapper });
  const calls = /^(\d+),.*raw_syscalls:sys_enter/m.exec(readFileSync(file, "utf8"))?.[1];
  return calls === undefined ? undefined : Number(calls) / totalRequests;
}

async function withStrace(
  server: RunningServer,
  httpCase: HttpCase,
  options: LoadOptions,
): Promise<number | undefined> {
  if (findTool("strace") === undefined) return undefined;
  const file = join(cacheDirectory, "strace.txt");
  // On SIGINT strace lets the server go and writes its table; `timeout` sends it after the load is certainly over.
  const seconds = options.seconds + 1;
  const trace = run(
    ["timeout", "-s", "INT", String(seconds), "strace", "-c", "-f", "-o", file, "-p", String(server.pid)],
    {
      timeoutMs: (seconds + 5) * 1_000,
    },
  );
  await delay(500);
  const { totalRequests } = await runHttpLoad(server, httpCase, { ...options, seconds: options.seconds / 2 });
  await trace;
  try {
    const total = /^100\.00\s+\S+\s+\S+\s+(\d+).*total$/m.exec(readFileSync(file, "utf8"))?.[1];
    return total === undefined ? undefined : Number(total) / totalRequests;
  } catch {
    return undefined;
  }
}

/** Adds up what V8 reports in the lines of `--trace-gc-nvp`: bytes allocated since the collection before, over all isolates of a process. */
export class AllocationMeter {
  bytes = 0;
  collections = 0;

  constructor(server: RunningServer) {
    server.onLine((line) => this.#read(line));
  }

  #read(line: string): void {
    const bytes = allocatedBytes(line);
    if (bytes === undefined) return;
    this.bytes += bytes;
    this.collections++;
  }

  reset(): void {
    this.bytes = 0;
    this.collections = 0;
  }
}

/**
 * The figure `allocated` of one line of `--trace-gc-nvp`: `allocated=123` up to Node 24, `"allocated":123` in newer ones. V8 subtracts two unsigned sizes, so a heap that
 * shrank between two collections (memory that was released early) appears as a number just below 2^64.
 */
export function allocatedBytes(line: string): number | undefined {
  const digits = /[ ,{]"?allocated"?[=:](\d+)/.exec(line)?.[1];
  return digits === undefined ? undefined : Number(BigInt.asIntN(64, BigInt(digits)));
}

/** The command that makes C's stdout line-buffered; V8 reports through it, and would hold the last lines back in a pipe. */
export function lineBuffered(command: readonly string[]): string[] | undefined {
  return findTool("stdbuf") === undefined ? undefined : ["stdbuf", "-oL", ...command];
}

/**
 * Bytes that a server's JavaScript allocates on V8's heaps for one request. The server must run with {@link allocationFlags}, line-buffered.
 * Undefined when too few collections happened to tell.
 */
export async function allocatedBytesPerRequest(
  server: RunningServer,
  httpCase: HttpCase,
  options: LoadOptions & { readonly requests: number },
): Promise<number | undefined> {
  const meter = new AllocationMeter(server);
  // Compilation and inline caches settle first.
  await runHttpLoad(server, httpCase, { ...options, requests: Math.ceil(options.requests / 4) });
  await delay(50);
  meter.reset();
  const result: LoadResult = await runHttpLoad(server, httpCase, options);
  // The last lines travel through a pipe.
  await delay(50);
  return meter.collections < COLLECTIONS_MIN ? undefined : meter.bytes / result.requests;
}
