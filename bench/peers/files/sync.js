// The subject `node-fs-sync`: fs.readSync, which holds up the thread. "At once" is one after the other here.
import { closeSync, openSync, readSync } from "node:fs";

export function open(path) {
  const fd = openSync(path);
  const read = (buffer, position) => readSync(fd, buffer, 0, buffer.length, position);
  return {
    sequence: (positions, buffer) => positions.reduce((sum, position) => sum + read(buffer, position), 0),
    batch: (positions, buffers) => positions.reduce((sum, position, index) => sum + read(buffers[index], position), 0),
    close: () => closeSync(fd),
  };
}
