// The task of tasks-nested.js.
import { tasks } from "ringloom";
import { measure } from "../peers/pools/batches.js";

const kernel = tasks(new URL("../peers/kernel.js", import.meta.url));

export function submit(settings) {
  return measure(kernel.burn, settings);
}
