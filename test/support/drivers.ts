/** The drivers that a test can run over on this machine: all of them, or the one that `RINGLOOM_DRIVER` names. */
import { chooseDriver, createDriver } from "../../src/driver/choose.js";
import type { Driver, DriverEvents, DriverName, DriverOptions } from "../../src/driver/contract.js";

export interface DriverUnderTest {
  readonly name: DriverName;
  /** Why it cannot run here, or false. For the `skip` option of a test. */
  readonly skip: string | false;
  create(options: DriverOptions, events: DriverEvents): Driver;
}

const SPINNING: Partial<DriverOptions> = { spin: { mode: "adaptive", microsMax: 50 } };

export const driversUnderTest: readonly DriverUnderTest[] = (["portable", "epoll", "uring"] as const)
  .filter((name) => isWanted(name))
  .map((name) => ({
    name,
    skip: skipReason(name),
    create: (options, events) => createDriver(name, options, events),
  }));

/** Every way to run each driver: the native ones also with libuv's own poll, and with a thread that spins before it sleeps. For the contract suite. */
export const driverVariants: readonly (DriverUnderTest & { readonly label: string })[] = driversUnderTest.flatMap(
  (under) => [
    { ...under, label: under.name },
    ...(under.name === "portable"
      ? []
      : [
          variant(under, `${under.name}, libuv's poll`, { loop: "uv" }),
          variant(under, `${under.name}, spinning`, SPINNING),
        ]),
  ],
);

function variant(
  under: DriverUnderTest,
  label: string,
  changed: Partial<DriverOptions>,
): DriverUnderTest & { readonly label: string } {
  return { ...under, label, create: (options, events) => under.create({ ...options, ...changed }, events) };
}

function isWanted(name: DriverName): boolean {
  const wanted = process.env.RINGLOOM_DRIVER;
  return wanted === undefined || wanted === "" || wanted === "auto" || wanted === name;
}

function skipReason(name: DriverName): string | false {
  try {
    chooseDriver(name);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}
