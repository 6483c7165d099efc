/**
 * V8's budget for inlining. V8 stops inlining into a function when 920 bytes of bytecode have been added to it. A request passes about forty small methods in a row (parser, connection,
 * router, context, encoder, outbox), so that the default cuts this path into a dozen calls, at other places in each run.
 */
import v8 from "node:v8";

/** Majors of Node whose V8 was tried with the flag. A V8 that does not know it would print a warning. */
const NODE_MAJOR_FIRST = 20;
const NODE_MAJOR_LAST = 26;

/** Raises the budget for the whole process. For programs of our own: a library does not change the flags of its user's process. */
export function raiseInliningBudget(): void {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < NODE_MAJOR_FIRST || major > NODE_MAJOR_LAST) return;
  v8.setFlagsFromString("--max-inlined-bytecode-size-cumulative=4000");
}
