/** `ringloom/middleware`: what most HTTP services add around their routes. */
export { type CompressOptions, compress } from "./compress.js";
export type { Encoding } from "./compressors.js";
export { type ConditionalOptions, conditional } from "./conditional.js";
export { type CorsOptions, type CorsOrigin, cors } from "./cors.js";
export { type FieldPart, type FilePart, type MultipartOptions, multipart, type Part } from "./multipart.js";
export { type RateLimitOptions, rateLimit } from "./rate-limit.js";
export { type RequestIdOptions, requestId } from "./request-id.js";
export { type StaticFilesOptions, staticFiles } from "./static-files.js";
