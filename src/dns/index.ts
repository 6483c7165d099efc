/** `ringloom/dns`: names. */
export {};
