import { isBodySource, readerOf } from "./response-body.js";

/** Ends the source of an answer that nobody will send, so that its file or query does not stay open. What is no source, or has a reader, is left alone. */
export function letGo(source: unknown): void {
  if (!isBodySource(source)) return;
  try {
    readerOf(source).cancel(undefined);
  } catch {
    // Somebody reads it: then it is theirs to end.
  }
}
