/** `ringloom/signal`: signals of the system as streams. */
export {};
