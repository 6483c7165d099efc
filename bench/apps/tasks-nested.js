// The subject `ringloom-nested` of the suite `tasks`: a task submits, on one of the threads that run tasks, as in Tokio's and Go's programs.
import { startScheduler, tasks } from "ringloom";

const submitter = tasks(new URL("./tasks-submitter.js", import.meta.url));

export function open(executors) {
  const scheduler = startScheduler({ compute: executors });
  return { measure: submitter.submit, close: () => scheduler.close() };
}
