/** `ringloom/db`: clients of databases over this thread's driver. */
export { type MysqlStreamTarget, mysqlStream, natsTransport, pgStream, redisConnector } from "./adapters.js";
export { ClientSocket, type ClientSocketOptions } from "./client-socket.js";
