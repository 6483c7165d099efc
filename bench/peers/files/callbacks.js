// The subject `node-fs-callbacks`: fs.read, the next one from the callback of the one before, with no promise but one for each group.
import { closeSync, openSync, read } from "node:fs";

export function open(path) {
  const fd = openSync(path);
  return {
    sequence: (positions, buffer) =>
      new Promise((resolve, reject) => {
        let index = 0;
        let bytes = 0;
        const next = () => read(fd, buffer, 0, buffer.length, positions[index], ended);
        const ended = (error, count) => {
          if (error) return reject(error);
          bytes += count;
          index += 1;
          if (index === positions.length) resolve(bytes);
          else next();
        };
        next();
      }),
    batch: (positions, buffers) =>
      new Promise((resolve, reject) => {
        let left = positions.length;
        let bytes = 0;
        const ended = (error, count) => {
          if (error) return reject(error);
          bytes += count;
          left -= 1;
          if (left === 0) resolve(bytes);
        };
        for (let index = 0; index < positions.length; index++)
          read(fd, buffers[index], 0, buffers[index].length, positions[index], ended);
      }),
    close: () => closeSync(fd),
  };
}
