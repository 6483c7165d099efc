/** `ringloom/io`: readers, writers and framing over anything that has bytes. */
export { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "../errors.js";
export type { WaitOptions } from "../task/wait-errors.js";
export { BufferedReader, type BufferedReaderOptions, type PieceOptions } from "./buffered-reader.js";
export { BufferedWriter, type BufferedWriterOptions } from "./buffered-writer.js";
export type { ByteDuplex, ByteSink, ByteSource, SinkEnd, WriteAllSink, WriteSink } from "./bytes.js";
export { type CopiedBoth, type CopyOptions, copy, copyBoth } from "./copy.js";
export {
  type FrameWriteOptions,
  type LengthDelimited,
  type LengthDelimitedOptions,
  lengthDelimited,
} from "./length-delimited.js";
export { fromNodeWritable, toNodeDuplex, toNodeReadable, toNodeWritable } from "./node-streams.js";
export { type Halves, split } from "./split.js";
export { fromWebWritable, toWebReadable, toWebWritable } from "./web-streams.js";
