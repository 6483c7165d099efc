// What both sides of a pair agree on: payloads lie below these values.
export const VALUE_FLUSH = 0xfffffff0;
export const VALUE_END = 0xfffffff1;

export function check(got, expected) {
  if (got !== expected) throw new Error(`got the value ${got}, not ${expected}`);
}
