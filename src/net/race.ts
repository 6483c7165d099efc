/**
 * Connecting to one of several addresses (RFC 8305, "Happy Eyeballs"): the next attempt begins when the one before has failed or has taken a while, whichever
 * comes first, and the first that stands wins. The others are closed.
 */

/** One attempt, as the race sees it. */
export interface Attempt<Winner> {
  /** Resolves with what the attempt brought. */
  readonly outcome: Promise<Winner>;
  /** The race is over: gives the attempt up, also when it has just been won. */
  abandon(): void;
}

/** What a {@link race} runs. */
export interface RaceOptions<Winner> {
  /** At least one. */
  readonly addresses: readonly string[];
  /** How long an attempt runs alone, in milliseconds. */
  readonly attemptDelayMs: number;
  readonly begin: (address: string) => Attempt<Winner>;
  /** Makes the error when every attempt has failed: what each said, in the order of the addresses. */
  readonly failed: (failures: readonly { readonly address: string; readonly error: unknown }[]) => Error;
}

/** A race under way. */
export interface Race<Winner> {
  readonly winner: Promise<Winner>;
  /** Gives up all attempts and rejects with `error`. */
  cancel(error: Error): void;
}

/** Starts the attempts. */
export function race<Winner>(options: RaceOptions<Winner>): Race<Winner> {
  const { addresses, attemptDelayMs, begin, failed } = options;
  const running = new Set<Attempt<Winner>>();
  const errors: unknown[] = [];
  let begun = 0;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let settle: { resolve(winner: Winner): void; reject(error: Error): void } | undefined;
  const winner = new Promise<Winner>((resolve, reject) => {
    settle = { resolve, reject };
  });

  function over(): NonNullable<typeof settle> | undefined {
    const settling = settle;
    settle = undefined;
    clearTimeout(timer);
    for (const attempt of running) attempt.abandon();
    running.clear();
    return settling;
  }

  function next(): void {
    clearTimeout(timer);
    const index = begun;
    const address = addresses[index];
    if (settle === undefined || address === undefined) return;
    begun += 1;
    let attempt: Attempt<Winner>;
    try {
      attempt = begin(address);
    } catch (error) {
      return fail(index, error);
    }
    running.add(attempt);
    if (begun < addresses.length) timer = setTimeout(next, attemptDelayMs);
    attempt.outcome.then(
      (value) => {
        running.delete(attempt);
        if (settle === undefined) attempt.abandon();
        else over()?.resolve(value);
      },
      (error: unknown) => {
        running.delete(attempt);
        fail(index, error);
      },
    );
  }

  function fail(index: number, error: unknown): void {
    if (settle === undefined) return;
    errors[index] = error;
    failures += 1;
    if (failures === addresses.length)
      over()?.reject(failed(addresses.map((address, at) => ({ address, error: errors[at] }))));
    else next();
  }

  next();
  return { winner, cancel: (error) => over()?.reject(error) };
}
