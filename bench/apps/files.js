// The subject `ringloom` of the suite `fs`: File.readAt.
import { open as openFile } from "ringloom/fs";
import { readingEach } from "../peers/files/reading.js";

export async function open(path) {
  const file = await openFile(path);
  return { ...readingEach((buffer, position) => file.readAt(buffer, position)), close: () => file.close() };
}
