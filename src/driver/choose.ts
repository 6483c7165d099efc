/** Chooses the driver once, with the exact reason, and creates it. */
import { release } from "node:os";
import { RingloomError } from "../errors.js";
import { loadNative, type NativeAddon, nativeFix, nativeProblem } from "../native.js";
import * as uapi from "../uapi.js";
import {
  type DriverEnvironment,
  epollAvailability,
  epollInstead,
  type RingProbe,
  type UringAvailability,
  uringAvailability,
} from "./availability.js";
import type { Driver, DriverEvents, DriverName, DriverOptions } from "./contract.js";
import { createEpollDriver } from "./epoll.js";
import { createPortableDriver } from "./portable.js";
import { readTextFile } from "./system-files.js";
import { createUringDriver } from "./uring.js";

/**
 * Which driver serves, and why.
 * @experimental
 */
export interface DriverChoice {
  readonly name: DriverName;
  /** One or two complete sentences. */
  readonly reason: string;
  /** Undefined when another driver was insisted on: then no ring is even tried, because some filters kill the process that does. */
  readonly uring: UringAvailability | undefined;
}

/** Opcodes that the uring driver submits. */
export const URING_OPCODES: Readonly<Record<string, number>> = {
  NOP: uapi.IORING_OP_NOP,
  ACCEPT: uapi.IORING_OP_ACCEPT,
  CONNECT: uapi.IORING_OP_CONNECT,
  RECV: uapi.IORING_OP_RECV,
  SEND: uapi.IORING_OP_SEND,
  CLOSE: uapi.IORING_OP_CLOSE,
  POLL_ADD: uapi.IORING_OP_POLL_ADD,
  TIMEOUT: uapi.IORING_OP_TIMEOUT,
  ASYNC_CANCEL: uapi.IORING_OP_ASYNC_CANCEL,
  READ: uapi.IORING_OP_READ,
  WRITE: uapi.IORING_OP_WRITE,
  FSYNC: uapi.IORING_OP_FSYNC,
};

const DRIVER_NAMES: readonly DriverName[] = ["uring", "epoll", "portable"];

/**
 * Chooses `uring` where the system allows it, else `epoll` where there is the addon, else `portable`.
 *
 * @param requested `auto`, or the driver to insist on. Default: the environment variable `RINGLOOM_DRIVER`, else `auto`.
 * @throws RingloomError `ERR_RINGLOOM_DRIVER_UNAVAILABLE` when the driver insisted on cannot run, `ERR_RINGLOOM_INVALID_OPTION` for
 * an unknown name.
 * @experimental
 */
export function chooseDriver(
  requested: string = process.env.RINGLOOM_DRIVER || "auto",
  environment: DriverEnvironment = systemEnvironment(),
): DriverChoice {
  if (requested !== "auto" && !DRIVER_NAMES.includes(requested as DriverName)) {
    throw new RingloomError(
      "ERR_RINGLOOM_INVALID_OPTION",
      `Invalid driver: ${JSON.stringify(requested)}. Allowed is auto, uring, epoll or portable.`,
      { operation: "choose driver", details: { option: "driver", value: requested } },
    );
  }
  if (requested === "portable") return { name: "portable", reason: "It was asked for.", uring: undefined };
  if (requested === "epoll") return chooseEpoll(environment);
  const uring = uringAvailability(environment);
  if (uring.verdict === "available") {
    return { name: "uring", reason: requested === "uring" ? `It was asked for. ${uring.reason}` : uring.reason, uring };
  }
  if (requested === "auto") return chooseWithoutRing(uring);
  throw new RingloomError(
    "ERR_RINGLOOM_DRIVER_UNAVAILABLE",
    `The uring driver was asked for and cannot run. ${uring.reason} ${uring.fix}`,
    { operation: "choose driver", details: { driver: requested, verdict: uring.verdict } },
  );
}

function chooseEpoll(environment: DriverEnvironment): DriverChoice {
  const { isAvailable, reason, fix } = epollAvailability(environment);
  if (isAvailable) return { name: "epoll", reason: "It was asked for.", uring: undefined };
  throw new RingloomError(
    "ERR_RINGLOOM_DRIVER_UNAVAILABLE",
    `The epoll driver was asked for and cannot run. ${reason} ${fix}`,
    { operation: "choose driver", details: { driver: "epoll" } },
  );
}

function chooseWithoutRing(uring: UringAvailability): DriverChoice {
  const epoll = epollInstead(uring);
  if (epoll === undefined) return { name: "portable", reason: uring.reason, uring };
  return { name: "epoll", reason: `${uring.reason.replace(/\.$/, "")}; ${epoll}.`, uring };
}

/**
 * Chooses the driver for connections that speak TLS: `portable`, because TLS is Node's own and no other driver is made of Node's sockets.
 *
 * @param requested As for {@link chooseDriver}.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when another driver is insisted on.
 * @experimental
 */
export function chooseTlsDriver(requested: string = process.env.RINGLOOM_DRIVER || "auto"): DriverChoice {
  if (requested === "auto" || requested === "portable")
    return {
      name: "portable",
      reason: "TLS is Node's own, and this driver is made of Node's sockets.",
      uring: undefined,
    };
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot serve TLS on the driver ${JSON.stringify(requested)}: TLS is Node's own, which only the portable driver speaks. Ask for auto or portable.`,
    { operation: "choose driver", details: { option: "driver", value: requested } },
  );
}

/**
 * Creates the driver of that name.
 * @throws RingloomError `ERR_RINGLOOM_DRIVER_UNAVAILABLE`, or the kernel's code, when it cannot be created.
 * @experimental
 */
export function createDriver(name: DriverName, options: DriverOptions, events: DriverEvents): Driver {
  if (name === "uring") return createUringDriver(options, events);
  return name === "epoll" ? createEpollDriver(options, events) : createPortableDriver(options, events);
}

/** This machine, as the choice sees it. */
export function systemEnvironment(): DriverEnvironment {
  const addon = loadNative();
  return {
    platform: process.platform,
    kernelRelease: release(),
    read: readTextFile,
    probe: addon === undefined ? undefined : () => probeRing(addon),
    addonProblem: nativeProblem(),
    addonFix: nativeFix(),
    opcodesNeeded: URING_OPCODES,
  };
}

/** The trial ring has the flags of the real one, so that a kernel that lacks them says EINVAL here. */
function probeRing(addon: NativeAddon): RingProbe {
  const probe = addon.probeRing(uapi.IORING_SETUP_SINGLE_ISSUER | uapi.IORING_SETUP_DEFER_TASKRUN);
  return { ...probe, opcodes: new Uint8Array(probe.opcodes) };
}
