/**
 * Doorbells: how any thread wakes a shard that is blocked in its driver. A doorbell belongs to whoever creates it, the supervisor as a rule, and not to the
 * driver: so it outlives the thread, the thread's successor answers to it, and no ringer ever writes to a descriptor that has been given to somebody else.
 */
import { RingloomError } from "../errors.js";
import { checkNative, requireNative } from "../native.js";
import { BELL_WORDS, Bell } from "../shared/bell.js";
import { SharedWords } from "../shared/words.js";
import type { Doorbell, DriverName, DriverWake } from "./contract.js";

/**
 * What became of a ring: the thread was `"woken"` because it may have been asleep; it was `"told"`, being awake or having been rung already, and will
 * look before it sleeps; or the doorbell is `"closed"`.
 * @experimental
 */
export type RingResult = "woken" | "told" | "closed";

/** Where the words of a doorbell lie. */
export interface DoorbellPlace {
  readonly buffer: SharedArrayBuffer;
  /** In bytes, a multiple of 64; 128 bytes from there on belong to the doorbell. All 0 at first. */
  readonly byteOffset: number;
}

/** What this thread has made of the doorbells that it was given. */
const bells = new WeakMap<Doorbell, Bell>();

/**
 * Creates a doorbell for one thread with a driver of that name. Post it to whoever shall ring, and give it to the driver (`DriverOptions.wake`).
 *
 * @param place where its words lie; default: shared memory of its own
 * @throws RingloomError the kernel's code when the process has no descriptor left, `ERR_RINGLOOM_DRIVER_UNAVAILABLE` where the addon is missing
 * @experimental
 */
export function createDoorbell(driver: DriverName, place: DoorbellPlace = ownPlace()): Doorbell {
  const { buffer, byteOffset } = place;
  if (!(byteOffset >= 0) || byteOffset % 64 !== 0 || byteOffset + BELL_WORDS * 4 > buffer.byteLength)
    throw new RangeError(`Cannot create a doorbell: no room for its ${BELL_WORDS * 4} bytes at offset ${byteOffset}`);
  if (driver === "portable") return { kind: "atomics", buffer, byteOffset };
  const fd = checkNative<number>(requireNative().eventDescriptor(), "create a doorbell");
  return { kind: "eventfd", buffer, byteOffset, fd };
}

/** Makes a doorbell for each thread; where one cannot be had, those before it are closed. */
export function createDoorbells(count: number, driverFor: (thread: number) => DriverName): Doorbell[] {
  const doorbells: Doorbell[] = [];
  try {
    for (let thread = 0; thread < count; thread++) doorbells.push(createDoorbell(driverFor(thread)));
  } catch (error) {
    for (const doorbell of doorbells) closeDoorbell(doorbell);
    throw error;
  }
  return doorbells;
}

/**
 * Tells the thread that answers to `doorbell` to look for work, and wakes it if it sleeps. What was published before the call, that thread finds. Never
 * blocks, and costs no system call unless the thread sleeps. Rings that come before it has looked count as one.
 * @experimental
 */
export function ringDoorbell(doorbell: Doorbell): RingResult {
  const bell = bellOf(doorbell);
  if (bell.isClosed) return "closed";
  return bell.ring() ? signal(doorbell, bell) : "told";
}

/**
 * Like {@link ringDoorbell}, and wakes the thread whatever it says of itself. For the reaper of a dead thread: that one may have
 * rung and died before it could wake anybody.
 * @experimental
 */
export function forceDoorbell(doorbell: Doorbell): RingResult {
  const bell = bellOf(doorbell);
  if (bell.isClosed) return "closed";
  bell.ring();
  return signal(doorbell, bell);
}

/**
 * Ends a doorbell, from any thread: later rings do nothing. A driver that still answers to it hears no more of them.
 * @experimental
 */
export function closeDoorbell(doorbell: Doorbell): void {
  if (bellOf(doorbell).close()) closeDescriptor(doorbell);
}

/** The words of `doorbell`, for its driver. */
export function bellOf(doorbell: Doorbell): Bell {
  const known = bells.get(doorbell);
  if (known !== undefined) return known;
  const bell = new Bell(new SharedWords(doorbell.buffer, doorbell.byteOffset, BELL_WORDS), 0);
  bells.set(doorbell, bell);
  return bell;
}

/** The same words as an array, for what needs their address. */
export function bellWords(doorbell: Doorbell): Int32Array {
  return new Int32Array(doorbell.buffer, doorbell.byteOffset, BELL_WORDS);
}

/** @throws RingloomError when the doorbell of `wake` is closed, or is of a kind that cannot wake that driver. */
export function checkDoorbell(driver: DriverName, wake: DriverWake | undefined): void {
  if (wake === undefined) return;
  const { doorbell } = wake;
  const wanted = driver === "portable" ? "atomics" : "eventfd";
  // The number of a closed descriptor may name somebody else's by now.
  if (bellOf(doorbell).isClosed)
    throw new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot create the ${driver} driver: its doorbell is closed`, {
      operation: "create driver",
      details: { driver },
    });
  if (doorbell.kind === wanted) return;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot create the ${driver} driver: its doorbell is of kind ${JSON.stringify(doorbell.kind)}, and it needs one of kind "${wanted}"`,
    { operation: "create driver", details: { driver, kind: doorbell.kind } },
  );
}

function signal(doorbell: Doorbell, bell: Bell): RingResult {
  if (doorbell.kind === "atomics") {
    bell.notify();
    return "woken";
  }
  const isOpen = bell.enter();
  // It fails only when 2^64 - 2 wake-ups wait already, and then nobody sleeps.
  if (isOpen) requireNative().signalEvent(doorbell.fd);
  if (bell.leave()) closeDescriptor(doorbell);
  return isOpen ? "woken" : "closed";
}

function closeDescriptor(doorbell: Doorbell): void {
  if (doorbell.kind === "eventfd") requireNative().closeDescriptor(doorbell.fd);
}

function ownPlace(): DoorbellPlace {
  return { buffer: new SharedArrayBuffer(BELL_WORDS * 4), byteOffset: 0 };
}
