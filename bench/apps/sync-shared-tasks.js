// The other thread of bench/apps/sync-shared.js.
import { sharedChannel, sharedMutex } from "ringloom/sync";

/** Sends back what it receives, until the channel is closed. */
export async function echo() {
  const [there, back] = [sharedChannel("there"), sharedChannel("back")];
  for await (const value of there) await back.send(value);
}

/** Sends numbers until the channel is closed. */
export async function pour() {
  const back = sharedChannel("back");
  try {
    for (let n = 0; ; n++) await back.send(n);
  } catch (error) {
    if (error.code !== "ERR_RINGLOOM_CLOSED") throw error;
  }
}

/** Locks and unlocks until `counts[0]` is not 0, and counts that in `counts[1]`. */
export async function contend(counts) {
  const mutex = sharedMutex("contended");
  while (Atomics.load(counts, 0) === 0) {
    const guard = await mutex.lock();
    Atomics.add(counts, 1, 1);
    guard.release();
  }
}
