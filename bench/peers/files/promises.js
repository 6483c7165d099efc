// The subjects `node-fs-promises` and `bun`: FileHandle.read.
import { open as openFile } from "node:fs/promises";
import { readingEach } from "./reading.js";

export async function open(path) {
  const file = await openFile(path);
  const read = async (buffer, position) => (await file.read(buffer, 0, buffer.length, position)).bytesRead;
  return { ...readingEach(read), close: () => file.close() };
}
