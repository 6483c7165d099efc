/** Where a request goes: its URL, taken apart. */
import { failed } from "./client-errors.js";
import { bareHost, basicAuthorization, type ProxyChooser, type ProxyServer } from "./proxy.js";

/** A URL, and by which way its server is reached. */
export interface Target {
  /** Without user, password and fragment. */
  readonly href: string;
  /** Scheme, host and port. */
  readonly origin: string;
  readonly isSecure: boolean;
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The value of the field Host. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** The value of Authorization that the URL's user and password mean. */
  readonly authorization: string | undefined;
  readonly proxy: ProxyServer | undefined;
}

/** A program asks for the same few URLs again and again, and parsing one takes longer than sending it. */
const REMEMBERED_MAX = 256;
/** Longer ones are seldom the same again. */
const REMEMBERED_LENGTH_MAX = 256;

/** The targets of one client. */
export class Targets {
  readonly #proxies: ProxyChooser;
  readonly #remembered = new Map<string, Target>();

  constructor(proxies: ProxyChooser) {
    this.#proxies = proxies;
  }

  /** @throws TypeError for what is no URL, RingloomError `ERR_RINGLOOM_UNSUPPORTED` for a scheme that is not HTTP. */
  of(url: string | URL): Target {
    const text = typeof url === "string" ? url : url.href;
    const known = this.#remembered.get(text);
    if (known !== undefined) return known;
    const target = this.#parse(text);
    if (text.length > REMEMBERED_LENGTH_MAX) return target;
    if (this.#remembered.size === REMEMBERED_MAX) this.#remembered.clear();
    this.#remembered.set(text, target);
    return target;
  }

  #parse(text: string): Target {
    if (!URL.canParse(text)) throw new TypeError(`Cannot request: ${JSON.stringify(text)} is no URL`);
    const url = new URL(text);
    const isSecure = url.protocol === "https:";
    if (!isSecure && url.protocol !== "http:")
      throw failed(
        "ERR_RINGLOOM_UNSUPPORTED",
        { method: "", url: text },
        `Cannot request: ${url.protocol} is neither http: nor https:`,
      );
    const host = bareHost(url.hostname);
    const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
    const path = url.pathname + url.search;
    return {
      href: `${url.protocol}//${url.host}${path}`,
      origin: url.origin,
      isSecure,
      host,
      port,
      authority: url.host,
      path,
      authorization: basicAuthorization(url),
      proxy: this.#proxies.choose({ isSecure, host, port }),
    };
  }
}
