// setTimeout and clearTimeout, for the suite `timers`: Node and Bun.
import { setTimeout as sleepOf } from "node:timers/promises";

export function crowd(count) {
  const handles = new Array(count).fill(undefined);
  return {
    insert(index, ms) {
      handles[index] = setTimeout(expired, ms);
    },
    cancel(index) {
      clearTimeout(handles[index]);
      handles[index] = undefined;
    },
  };
}

export function sleep(ms) {
  return sleepOf(ms);
}

function expired() {
  throw new Error("no timer of a crowd expires");
}
