// piscina with eight tasks at a time posted to a thread, which hides the way between the threads when there are many.
import { open as openPiscina } from "./piscina.js";

export const open = (executors) => openPiscina(executors, { concurrentTasksPerWorker: 8 });
