/** The two shapes of main.js from `read(buffer, position)`, which resolves to a number of bytes. */
export function readingEach(read) {
  return {
    async sequence(positions, buffer) {
      let bytes = 0;
      for (const position of positions) bytes += await read(buffer, position);
      return bytes;
    },
    async batch(positions, buffers) {
      const counts = await Promise.all(positions.map((position, index) => read(buffers[index], position)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
  };
}
