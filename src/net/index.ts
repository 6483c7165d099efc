/** `ringloom/net`: sockets: TCP, Unix and UDP. */
export {};
