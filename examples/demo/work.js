/** What the demo runs as tasks, on other threads than the one that answers. */

/** Burns about so many milliseconds of CPU, and says how many it took. */
export function burn(ms) {
  const start = performance.now();
  let sum = 0;
  while (performance.now() - start < ms)
    for (let index = 0; index < 1000; index++) sum = (Math.imul(sum, 1664525) + index) | 0;
  return { ms: Math.round(performance.now() - start), sum };
}
