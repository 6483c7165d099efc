// The subject `ringloom-epoll` of the suite `fs`: the same with the epoll driver.
process.env.RINGLOOM_DRIVER = "epoll";

export { open } from "./files.js";
