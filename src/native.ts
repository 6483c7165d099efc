/**
 * The addon's only loader, and the shape of what it offers. Everything here returns a count, a descriptor or 0, or a negative error
 * number; the callers turn numbers into typed errors.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { errnoError, RingloomError } from "./errors.js";

/** What the loop hook waits on, a ring or an epoll set, as the addon describes both. */
export interface NativeSource {
  /** Opaque; names it in calls. */
  readonly handle: object;
  /** The words shared with the loop hook: see `CONTROL` in `src/ring/loop.ts`. */
  readonly control: ArrayBuffer;
  readonly fd: number;
}

/** A ring: its memory, and where each word lies in it. Offsets are in bytes. */
export interface NativeRing extends NativeSource {
  /** Head, tail and flag words of both queues, and the completion entries. */
  readonly rings: ArrayBuffer;
  /** The submission entries, 64 bytes each. */
  readonly entries: ArrayBuffer;
  readonly features: number;
  readonly submissionEntries: number;
  readonly completionEntries: number;
  readonly submissionHead: number;
  readonly submissionTail: number;
  readonly submissionFlags: number;
  readonly completionHead: number;
  readonly completionTail: number;
  readonly completionEvents: number;
}

/** An epoll set: its memory, and where each part of it starts, in bytes. `src/driver/epoll-set.ts` draws it. */
export interface NativeEpoll extends NativeSource {
  readonly memory: ArrayBuffer;
  readonly records: number;
  readonly sends: number;
  readonly states: number;
  readonly backlog: number;
  readonly backlogMask: number;
}

/** What the kernel answered to a trial ring. */
export interface NativeProbe {
  readonly errno: number;
  readonly enterErrno: number;
  readonly features: number;
  readonly opcodes: ArrayBuffer;
}

/** An IP address and a port; of a Unix socket its path, and an empty host. */
export interface NativeAddress {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
}

/** The addon's functions. `native/*.c` documents each. */
export interface NativeAddon {
  setupRing(entries: number, completionEntries: number, flags: number): NativeRing | number;
  enterRing(handle: object, submit: number, wait: number): number;
  bufferRing(handle: object, entries: number, group: number): ArrayBuffer | number;
  probeRing(flags: number): NativeProbe;
  setupEpoll(
    slots: number,
    listeners: number,
    generationsAddress: number,
    slabAddress: number,
    slabBytes: number,
    poolAddress: number,
  ): NativeEpoll | number;
  epollAdd(handle: object, fd: number, low: number, generation: number): number;
  epollRemove(handle: object, fd: number): number;
  epollSend(handle: object, count: number): void;
  descriptorTable(handle: object, count: number): ArrayBuffer | number;
  closeSource(handle: object): void;
  /** Of a typed array also where that lies in shared memory. */
  addressOf(buffer: ArrayBuffer | Uint8Array): number;
  startLoop(handle: object, turn: () => void, inverted: number): number;
  stopLoop(handle: object): void;
  /** `words` lie in shared memory. */
  watchBell(handle: object, words: Int32Array): number;
  keepAlive(handle: object, on: number): void;
  backendFd(): number;
  hasInvertedLoop(): boolean;
  publishPulse(handle: object, words: Int32Array): number;
  listenSocket(
    host: string,
    port: number,
    backlog: number,
    /** 0 never, 1 with whoever shares already, 2 alone at first. */
    sharing: number,
  ): (NativeAddress & { readonly fd: number }) | number;
  isListening(fd: number): number;
  acceptWaiting(fd: number): number;
  /** `program` is the bytes of classic BPF instructions; empty where `option` detaches. */
  setSocketFilter(fd: number, option: number, program: Uint8Array): number;
  socketAddress(host: string, port: number): ArrayBuffer | number;
  openSocket(family: number, type: number): number;
  /** bind(2), or connect(2) where `connects` is 1. */
  nameSocket(fd: number, address: ArrayBuffer, connects: number): number;
  /** `header` holds a struct msghdr; sendmsg(2) where `sends` is 1, else recvmsg(2). Neither waits. */
  socketMessage(fd: number, header: Uint8Array, sends: number): number;
  /** An opaque handle for the two calls below. */
  watchDescriptor(fd: number, readable: () => void): object | number;
  armWatch(handle: object, on: number): number;
  endWatch(handle: object): void;
  connectSocket(host: string, port: number): number;
  setBlocking(fd: number, on: number): number;
  shutdownSocket(fd: number, how: number): number;
  peerName(fd: number): NativeAddress | number;
  socketName(fd: number): NativeAddress | number;
  sendQueueBytes(fd: number): number;
  setNoDelay(fd: number, on: number): number;
  setKeepAlive(fd: number, on: number, seconds: number): number;
  duplicate(fd: number): number;
  eventDescriptor(): number;
  signalEvent(fd: number): number;
  closeDescriptor(fd: number): number;
  /** A count, or a negative error number: -EAGAIN when the page cache does not have it. */
  readNow(fd: number, buffer: Uint8Array, position: number): number;
  /** flock(2), which waits only without LOCK_NB. */
  lockFile(fd: number, operation: number): number;
  setAffinity(cpus: readonly number[]): number;
  /** Of the calling thread. Linux before 6.12 takes it and does nothing. */
  setTimeSlice(micros: number): number;
  /** Of the whole process. -ENOSYS where the C library has no such setting (musl). */
  setMmapThreshold(bytes: number): number;
}

let addon: NativeAddon | undefined;
let problem: string | undefined;
let fix = "";
let wasTried = false;

/** The addon, or undefined where there is none; {@link nativeProblem} then says why. */
export function loadNative(): NativeAddon | undefined {
  if (wasTried) return addon;
  wasTried = true;
  if (process.platform !== "linux") {
    problem = `the addon is for Linux, and this is ${process.platform}`;
    return undefined;
  }
  const path = addonPath();
  if (!existsSync(path)) {
    notBuilt(path);
    return undefined;
  }
  try {
    addon = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (error) {
    problem = `the addon does not load: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`;
    fix = 'Build it on this machine: "npx ringloom build-addon --force".';
  }
  return addon;
}

/** Why {@link loadNative} returned undefined. */
export function nativeProblem(): string | undefined {
  loadNative();
  return problem;
}

/** What to do about {@link nativeProblem}, a sentence; empty where nothing can be done. */
export function nativeFix(): string {
  loadNative();
  return fix;
}

/** A package that was installed has run no script; a checkout has, so there it was the compiler that failed or was not there. */
function notBuilt(path: string): void {
  if ((process.env.RINGLOOM_ADDON ?? "") !== "") {
    problem = `there is no addon at ${path}, which RINGLOOM_ADDON names`;
    fix = "Correct RINGLOOM_ADDON, or unset it.";
  } else if (isCheckout()) {
    problem = "the addon is not built (a C compiler was not there at installation; npm run build:native builds it)";
    fix = 'Install a C compiler (Debian: "apt-get install gcc libc6-dev") and run "npm run build:native".';
  } else {
    problem = 'the addon is not built: installing the package runs no script, and "npx ringloom build-addon" builds it';
    fix = 'Run "npx ringloom build-addon", which needs a C compiler (Debian: "apt-get install gcc libc6-dev").';
  }
}

/** A published package has no TypeScript sources. */
function isCheckout(): boolean {
  return existsSync(new URL("../../src/native.ts", import.meta.url));
}

/** Where the addon is looked for: `RINGLOOM_ADDON` (a path, for a build with a sanitizer), else the build of this platform. */
export function addonPath(): string {
  const chosen = process.env.RINGLOOM_ADDON;
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  const name = `ringloom-${process.platform}-${process.arch}.node`;
  return fileURLToPath(new URL(`../../build/${name}`, import.meta.url));
}

/** The addon, or a typed error that says why it is not there. */
export function requireNative(): NativeAddon {
  const native = loadNative();
  if (native !== undefined) return native;
  throw new RingloomError("ERR_RINGLOOM_DRIVER_UNAVAILABLE", `Cannot use the addon: ${problem}`);
}

/** Turns the addon's "a value or a negative error number" into a value or a typed error. */
export function checkNative<T>(result: T | number, operation: string, details?: Readonly<Record<string, unknown>>): T {
  if (typeof result === "number" && result < 0) throw errnoError(operation, -result, details);
  return result as T;
}
