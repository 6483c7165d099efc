// The subject `ringloom` of the suite `tasks`: burn() of the peers' kernel through tasks().
import { startScheduler, tasks } from "ringloom";

const kernel = tasks(new URL("../peers/kernel.js", import.meta.url));

export function open(executors) {
  const scheduler = startScheduler({ compute: executors });
  return { run: kernel.burn, close: () => scheduler.close() };
}
