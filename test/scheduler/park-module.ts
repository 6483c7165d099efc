/** Tasks that wait for a device which can only be asked: here a timer. */
import { writeFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { parkUntil } from "../../src/scheduler/park-until.js";

/** Takes its time for each kernel, and says nothing by itself. */
class FakeDevice {
  readonly #results = new Map<number, number>();
  #ticket = 0;
  underWay = 0;

  submit(input: number, ms: number): number {
    const ticket = this.#ticket++;
    this.underWay += 1;
    setTimeout(() => {
      this.underWay -= 1;
      this.#results.set(ticket, input * input);
    }, ms);
    return ticket;
  }

  result(ticket: number): number | undefined {
    return this.#results.get(ticket);
  }
}

const device = new FakeDevice();

/** The square, and how many kernels the device had at once on this thread when this one was submitted. */
export async function square(input: number, ms: number): Promise<[result: number, underWay: number]> {
  const ticket = device.submit(input, ms);
  const { underWay } = device;
  return [await parkUntil(() => device.result(ticket)), underWay];
}

export function thread(): number {
  return threadId;
}

export async function parkForEver(path: string): Promise<string> {
  writeFileSync(`${path}.begun`, "");
  return parkUntil(() => undefined).catch((error: unknown) => {
    writeFileSync(path, String(Reflect.get(Object(error), "code")));
    throw error;
  });
}

export async function parkFor(timeoutMs: number): Promise<string> {
  return parkUntil<string>(() => undefined, { timeoutMs });
}

export async function parkAndFail(): Promise<number> {
  let asked = 0;
  return parkUntil(() => {
    asked += 1;
    if (asked === 3) throw new TypeError("the device is gone");
    return undefined;
  });
}

export async function parkWith(pollMs: number): Promise<number> {
  return parkUntil(() => 1, { pollMs });
}

export async function parkForPromise(): Promise<unknown> {
  return parkUntil(async () => undefined);
}
