// The busy kernel of the suites `tasks` and `mixed`: a 32-bit linear congruential generator with a shift, so that no compiler can fold two steps
// into one. Each step needs the result of the one before, which is why it takes the same time in every language. The same function stands in
// tokio/src/kernel.rs, go/kernel.go and harness/kernel.ts; the harness compares the results.
export function burn(seed, steps) {
  let x = seed | 0;
  for (let i = 0; i < steps; i++) {
    x = (Math.imul(x, 1664525) + (1013904223 ^ i)) | 0;
    x ^= x >>> 15;
  }
  return x >>> 0;
}
