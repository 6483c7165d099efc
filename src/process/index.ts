/** `ringloom/process`: child processes. */
export {};
