/** What a compute thread runs under `ringloom dev`: the same as under `serve`, after it has arranged to say which files the tasks' modules consist of. */
import { workerData } from "node:worker_threads";
import { CHANNEL_OPTION } from "./dev-service.js";
import { tellLoadedFiles } from "./dev-tell.js";

// The cast is safe because the command gives it to the pool.
tellLoadedFiles(String((workerData as Record<string, unknown>)[CHANNEL_OPTION]));
await import("../scheduler/compute-thread.js");
