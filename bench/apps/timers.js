// The subject `ringloom` of the suite `timers`: the timers of the thread, as sockets and sleeps use them, and sleep().
import { sleep } from "ringloom/time";
import { threadTimers } from "../../dist/src/time/timers.js";

export { sleep };

export function crowd(count) {
  const timers = threadTimers();
  const places = new Int32Array(count);
  const generations = new Int32Array(count);
  return {
    insert(index, ms) {
      const place = timers.start(timers.now() + ms, expired);
      places[index] = place;
      generations[index] = timers.generation(place);
    },
    cancel(index) {
      if (!timers.cancel(places[index], generations[index])) throw new Error("a pending timer cannot be cancelled");
    },
  };
}

function expired() {
  throw new Error("no timer of a crowd expires");
}
