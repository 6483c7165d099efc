/** Listening at a path: in the place of a server that is gone, and with a mode from the first moment on. */
import { connect } from "node:net";
import { RingloomError } from "../errors.js";
import { checkSocketPath } from "./arguments.js";
import { PrivatePlace, removeSocketFile, type SocketFile, socketFile } from "./unix-path.js";

const MODE_MAX = 0o777;
/** How long a server at the same path has to answer before it counts as alive, in milliseconds. */
const STALE_PROBE_MS = 1_000;

/** Where a server listens that is no port. */
export interface UnixPlace {
  readonly path: string;
  /** The mode of the file; undefined is what the umask leaves. */
  readonly mode: number | undefined;
}

/** How it is listened. */
export interface PlaceListener<Result> {
  /** Listens at a path, which is not always the one that was asked for. */
  listen(path: string): Result | Promise<Result>;
  /** It cannot stay: another has taken the place. */
  undo(result: Result): void;
}

/** What came of it, and the file that is to be removed at the end. */
export interface PlaceTaken<Result> {
  readonly result: Result;
  readonly file: SocketFile | undefined;
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for a path or a mode that cannot be. */
export function checkUnixPlace({ path, mode }: UnixPlace): void {
  try {
    checkSocketPath("listen", path);
  } catch (cause) {
    throw invalid("path", path, (cause as Error).message, cause);
  }
  if (mode === undefined) return;
  if (!Number.isInteger(mode) || mode < 0 || mode > MODE_MAX)
    throw invalid("mode", mode, "a number from 0 to 0o777 is allowed");
  if (path.startsWith("\0")) throw invalid("mode", mode, "an abstract name has no file, and so no mode");
}

/** Listens at `place`. What a dead server has left there is removed first; one that lives is `EADDRINUSE`. */
export async function listenAtPath<Result>(
  place: UnixPlace,
  listener: PlaceListener<Result>,
): Promise<PlaceTaken<Result>> {
  const { path } = place;
  const listenThere = async (): Promise<Result> =>
    place.mode === undefined ? listener.listen(path) : listenWithMode(path, place.mode, listener);
  let result: Result;
  try {
    result = await listenThere();
  } catch (error) {
    const stale = (error as { code?: unknown }).code === "EADDRINUSE" ? socketFile(path) : undefined;
    if (stale === undefined || (await isAnswered(path))) throw error;
    removeSocketFile(stale);
    result = await listenThere();
  }
  return { result, file: socketFile(path) };
}

/** Listens where nobody else can come, and gives the socket its place when it has its mode: there is no time at which too many may connect. */
async function listenWithMode<Result>(path: string, mode: number, listener: PlaceListener<Result>): Promise<Result> {
  const hidden = new PrivatePlace(path);
  try {
    const result = await listener.listen(hidden.path);
    try {
      hidden.publish(mode);
    } catch (error) {
      listener.undo(result);
      throw error;
    }
    return result;
  } finally {
    hidden.remove();
  }
}

/** Only a refusal says that nobody is there: a server that is too busy to answer is one. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: STALE_PROBE_MS });
    const end = (answers: boolean): void => {
      socket.destroy();
      resolve(answers);
    };
    socket.on("connect", () => end(true));
    socket.on("timeout", () => end(true));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code !== "ECONNREFUSED"));
  });
}

function invalid(option: string, value: unknown, why: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot listen with ${option} ${String(value)}: ${why}`, {
    operation: "listen",
    details: { option, value },
    cause,
  });
}
