/** `ringloom/io`: readers, writers and framing over anything that has bytes. */
export {};
