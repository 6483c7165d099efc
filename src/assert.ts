/**
 * Assertions for programmer errors. They are always on: a broken invariant must stop here and not three calls later.
 * The message is a literal, because building one costs more than the check.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message);
}

function fail(message: string): never {
  throw new AssertionError(message);
}

/** Thrown when an invariant of Ringloom itself is broken. Seeing one is always a bug in Ringloom. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
  readonly code = "ERR_RINGLOOM_ASSERTION";
}
