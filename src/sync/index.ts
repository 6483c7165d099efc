/** `ringloom/sync`: channels, select, locks and groups for the code of one thread, and their forms that threads share. */
export {};
