/** The busy kernel of the suites `tasks` and `mixed`, in the harness's own copy: it calibrates the number of steps and knows every right result. */

const CALIBRATION_STEPS = 200_000;
const CALIBRATION_ROUNDS = 25;

let calibratedStepNs: number | undefined;

/**
 * `steps` steps of a 32-bit linear congruential generator with a shift, from `seed`. No step can start before the one before has ended, and no compiler can fold
 * two into one, so it takes the same time in every compiled language. bench/peers has it in JavaScript, Rust and Go.
 */
export function burn(seed: number, steps: number): number {
  let x = seed | 0;
  for (let i = 0; i < steps; i++) {
    x = (Math.imul(x, 1_664_525) + (1_013_904_223 ^ i)) | 0;
    x ^= x >>> 15;
  }
  return x >>> 0;
}

/** Nanoseconds that one step takes on this machine: the best of several measurements, made once in a run. */
export function stepNs(): number {
  if (calibratedStepNs !== undefined) return calibratedStepNs;
  let bestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < CALIBRATION_ROUNDS; round++) {
    const startedMs = performance.now();
    burn(round, CALIBRATION_STEPS);
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  calibratedStepNs = (bestMs * 1e6) / CALIBRATION_STEPS;
  return calibratedStepNs;
}

/** How many steps take so many microseconds on this machine. */
export function stepsOf(microseconds: number): number {
  return Math.max(1, Math.round((microseconds * 1_000) / stepNs()));
}
