/** What a thread has started outside of itself, child processes for instance, has to end with it: in order when the thread ends in order, by a last word otherwise. */

/** Something that is to end with its thread. */
export interface EndsWithThread {
  /** Ends it, and resolves when it has ended. */
  end(): Promise<unknown>;
  /** The thread ends now: what can be done without waiting. */
  endNow(): void;
}

const started = new Set<EndsWithThread>();
let isListening = false;

/** Ends `thing` when this thread ends. A thread that is terminated from outside ends nothing. Returns a function that forgets it. */
export function endWithThread(thing: EndsWithThread): () => void {
  started.add(thing);
  if (!isListening) {
    isListening = true;
    process.on("exit", () => {
      for (const each of started) each.endNow();
    });
  }
  return () => started.delete(thing);
}

/** Ends all that is left, and waits for it so long. To be called before the thread ends itself. */
export async function endWhatThreadStarted(timeoutMs: number): Promise<void> {
  if (started.size === 0) return;
  let timer: NodeJS.Timeout | undefined;
  const isTime = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([Promise.allSettled([...started].map((each) => each.end())), isTime]);
  clearTimeout(timer);
}
