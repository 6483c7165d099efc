// The subject `ringloom-portable` of the suite `fs`: the same with the portable driver, whose reads all go to libuv's pool.
process.env.RINGLOOM_DRIVER = "portable";

export { open } from "./files.js";
