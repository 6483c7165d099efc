import type { Context } from "../http/context.js";

/** Names a request field in Vary, that caches keep the answers for its values apart (RFC 9110, section 12.5.5). */
export function addVary(c: Context, field: string): void {
  const names = (c.getHeader("vary") ?? "").toLowerCase().split(/\s*,\s*/);
  if (!names.includes(field) && !names.includes("*")) c.appendHeader("vary", field);
}
