/** Cookies (RFC 6265): reading a Cookie field, writing a Set-Cookie one. */

/**
 * Attributes of a cookie that is set.
 * @experimental
 */
export interface CookieOptions {
  readonly domain?: string;
  readonly path?: string;
  /** Seconds from now. 0 or less deletes the cookie. */
  readonly maxAge?: number;
  readonly expires?: Date;
  readonly httpOnly?: boolean;
  readonly secure?: boolean;
  readonly sameSite?: "strict" | "lax" | "none";
  readonly partitioned?: boolean;
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/;
const ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]*$/;

/** The value of the first cookie called `name` in a Cookie field, percent-decoded where it can be; undefined when there is none. */
export function cookieValue(field: string, name: string): string | undefined {
  for (const part of field.split(";")) {
    const equals = part.indexOf("=");
    if (equals < 0 || part.slice(0, equals).trim() !== name) continue;
    return decodeCookie(part.slice(equals + 1).trim());
  }
  return undefined;
}

/** Every cookie of a Cookie field; the first of a name wins. */
export function cookieRecord(field: string): Record<string, string> {
  const record = Object.create(null) as Record<string, string>;
  for (const part of field.split(";")) {
    const equals = part.indexOf("=");
    if (equals < 0) continue;
    const name = part.slice(0, equals).trim();
    if (!(name in record)) record[name] = decodeCookie(part.slice(equals + 1).trim());
  }
  return record;
}

/**
 * A Set-Cookie field. A value with characters that a cookie cannot hold is percent-encoded.
 * Throws TypeError for a name that is no token, and for an attribute with a control character or a semicolon.
 */
export function formatCookie(name: string, value: string, options: CookieOptions = {}): string {
  if (!NAME.test(name)) throw new TypeError(`Cannot set a cookie: ${JSON.stringify(name)} is not a valid name`);
  let text = `${name}=${VALUE.test(value) ? value : encodeURIComponent(value)}`;
  if (options.domain !== undefined) text += `; Domain=${attribute("domain", options.domain)}`;
  if (options.path !== undefined) text += `; Path=${attribute("path", options.path)}`;
  if (options.maxAge !== undefined) {
    if (!Number.isInteger(options.maxAge))
      throw new RangeError(`Cannot set a cookie: maxAge ${options.maxAge} is no whole number`);
    text += `; Max-Age=${options.maxAge}`;
  }
  if (options.expires !== undefined) text += `; Expires=${options.expires.toUTCString()}`;
  if (options.httpOnly === true) text += "; HttpOnly";
  if (options.secure === true) text += "; Secure";
  if (options.sameSite !== undefined) text += `; SameSite=${sameSiteText(options.sameSite)}`;
  if (options.partitioned === true) text += "; Partitioned";
  return text;
}

function sameSiteText(sameSite: "strict" | "lax" | "none"): string {
  switch (sameSite) {
    case "strict":
      return "Strict";
    case "lax":
      return "Lax";
    case "none":
      return "None";
  }
}

function attribute(name: string, value: string): string {
  if (!ATTRIBUTE.test(value))
    throw new TypeError(`Cannot set a cookie: its ${name} has a character that is not allowed`);
  return value;
}

function decodeCookie(value: string): string {
  const text = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
