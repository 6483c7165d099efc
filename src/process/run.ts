/** Running a program to its end. */
import { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "../errors.js";
import type { Child, ExitStatus } from "./child.js";
import type { ChildInput } from "./child-input.js";
import type { ChildStdio, SpawnOptions } from "./child-options.js";
import { type ChildOutput, COLLECT_BYTES_MAX, outputTooLarge } from "./child-output.js";
import { spawn } from "./spawn.js";

/**
 * How a program is run to its end.
 * @experimental
 */
export interface RunOptions extends Omit<SpawnOptions, "stdin" | "stdout" | "stderr" | "outlives"> {
  /** What it reads; nothing unless told otherwise. */
  readonly input?: Uint8Array | string | undefined;
  /** `pipe`, the default, collects it. */
  readonly stdout?: ChildStdio | undefined;
  /** `pipe`, the default, collects it. */
  readonly stderr?: ChildStdio | undefined;
  /** The most of each output that is collected; a program that writes more is stopped. 16 MiB unless told otherwise. */
  readonly maxBytes?: number | undefined;
  /** Whether anything but exit code 0 rejects. `true` unless told otherwise. */
  readonly check?: boolean | undefined;
}

/**
 * What a program has said, and how it has ended.
 * @experimental
 */
export interface RunResult extends ExitStatus {
  /** Empty when it is not collected. */
  readonly stdout: Buffer;
  /** Empty when it is not collected. */
  readonly stderr: Buffer;
}

/**
 * A program that did not end well: `ERR_RINGLOOM_CHILD_FAILED` with another exit code than 0 or by a signal, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_OUTPUT_TOO_LARGE`.
 * @experimental
 */
export class ChildError extends RingloomError {
  override readonly name = "ChildError";
  /** What it said until then, and how it has ended. */
  readonly result: RunResult;

  /** @internal */
  constructor(code: RingloomErrorCode, message: string, { result, ...options }: ChildErrorOptions) {
    super(code, message, options);
    this.result = result;
  }
}

interface ChildErrorOptions extends RingloomErrorOptions {
  readonly result: RunResult;
}

/** How much of the error output stands in the error's message. */
const MESSAGE_CHARACTERS_MAX = 500;

/**
 * Runs a program to its end, without a shell, and gives what it has said. By the time that this is settled the program has ended, whatever has happened.
 * @throws ChildError (rejects) when it did not exit with 0, unless `check` is false; when it was stopped by its time, its signal or the length of its output. Otherwise as `spawn`.
 * @example
 * ```ts run
 * import { run } from "ringloom/process";
 * const { stdout } = await run("uname", ["-s"], { timeoutMs: 5_000 });
 * console.log(stdout.toString().trim());
 * ```
 * @experimental
 */
export async function run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
  const { input, maxBytes = COLLECT_BYTES_MAX, check = true, stdout = "pipe", stderr = "pipe", ...others } = options;
  if (!(maxBytes >= 0)) throw new RangeError(`Cannot run ${command}: maxBytes is ${maxBytes}, not 0 or more`);
  const stdin = input === undefined ? "ignore" : "pipe";
  const child = await spawn(command, args, { ...others, stdin, stdout, stderr });
  const feeding = input === undefined ? undefined : feed(child.stdin, input);
  const [out, err] = await Promise.all([
    collect(child, stdout === "pipe" ? child.stdout : undefined, maxBytes),
    collect(child, stderr === "pipe" ? child.stderr : undefined, maxBytes),
  ]);
  const result = { ...(await child.wait()), stdout: out.bytes, stderr: err.bytes };
  await feeding;
  const failure = { operation: "run", details: { command, args }, result };
  const isTooLong = out.isTooLong || err.isTooLong;
  if (isTooLong) {
    const cause = outputTooLarge(out.isTooLong ? "stdout" : "stderr", maxBytes);
    throw new ChildError("ERR_RINGLOOM_OUTPUT_TOO_LARGE", `${command} was stopped: it says over ${maxBytes} bytes.`, {
      ...failure,
      cause,
    });
  }
  if (result.stoppedBy === "timeout")
    throw new ChildError("ERR_RINGLOOM_TIMEOUT", `${command} was stopped after ${others.timeoutMs} ms.`, failure);
  if (result.stoppedBy === "signal") {
    const cause = others.signal?.reason;
    throw new ChildError("ERR_RINGLOOM_ABORTED", `${command} was stopped by its signal.`, { ...failure, cause });
  }
  if (check && !result.ok) throw new ChildError("ERR_RINGLOOM_CHILD_FAILED", whyFailed(command, result), failure);
  return result;
}

interface Collected {
  readonly bytes: Buffer;
  readonly isTooLong: boolean;
}

async function collect(child: Child, output: ChildOutput | undefined, maxBytes: number): Promise<Collected> {
  const pieces: Buffer[] = [];
  let length = 0;
  if (output === undefined) return { bytes: Buffer.alloc(0), isTooLong: false };
  for await (const piece of output) {
    pieces.push(piece);
    length += piece.length;
    if (length <= maxBytes) continue;
    void child.stop();
    output.close();
    return { bytes: Buffer.concat(pieces).subarray(0, maxBytes), isTooLong: true };
  }
  return { bytes: Buffer.concat(pieces), isTooLong: false };
}

/** A program need not read all of its input, or any. */
async function feed(stdin: ChildInput, input: Uint8Array | string): Promise<void> {
  await stdin.write(input).catch(() => undefined);
  await stdin.end();
}

function whyFailed(command: string, { code, signal, stderr }: RunResult): string {
  const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
  const said = stderr.toString("utf8").trim().slice(-MESSAGE_CHARACTERS_MAX);
  return said === "" ? `${command} ${how}.` : `${command} ${how}: ${said}`;
}
