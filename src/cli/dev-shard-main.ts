/**
 * What the shard's thread runs under `ringloom dev`: the same as under `serve`, after it has arranged to say which files the module
 * consists of. The command puts the channel's name among the service's options.
 */
import { workerData } from "node:worker_threads";
import type { ShardAssignment } from "../runtime/shard-protocol.js";
import { CHANNEL_OPTION } from "./dev-service.js";
import { tellLoadedFiles } from "./dev-tell.js";

// The cast is safe because the supervisor of the same build makes it.
const { service } = workerData as ShardAssignment;
const tellCommonJs = tellLoadedFiles(String(service[CHANNEL_OPTION]));
await import("../http/shard-main.js");
tellCommonJs();
