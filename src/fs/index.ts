/** `ringloom/fs`: files and folders. */
export {};
