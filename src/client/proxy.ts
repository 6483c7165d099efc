/** Which proxy a request goes through: the variables that curl and Go read, or the client's option. */
import { isIP } from "node:net";

/**
 * Proxies by the scheme of the target. Each is an `http:` or `https:` URL, with a user and a password where the proxy asks for them.
 * @experimental
 */
export interface ProxySettings {
  /** For `http:` URLs, whose requests the proxy reads. */
  readonly http?: string | undefined;
  /** For `https:` URLs, through a tunnel (CONNECT). */
  readonly https?: string | undefined;
  /**
   * Targets without a proxy, divided by commas: names with everything under them (`example.com`, `.example.com`), addresses, networks (`10.0.0.0/8`), each with a port if only that one is meant, or `*`.
   */
  readonly no?: string | undefined;
}

/** A proxy, taken apart. */
export interface ProxyServer {
  readonly isSecure: boolean;
  readonly host: string;
  readonly port: number;
  /** The value of Proxy-Authorization. */
  readonly authorization: string | undefined;
}

/** Whom to ask for a target. */
export interface ProxyChooser {
  choose(target: { readonly isSecure: boolean; readonly host: string; readonly port: number }): ProxyServer | undefined;
}

/** @throws TypeError for a URL that is none. */
export function proxyChooser(option: "environment" | false | string | ProxySettings): ProxyChooser {
  if (option === false) return { choose: () => undefined };
  const isEnvironment = option === "environment";
  const settings = isEnvironment ? fromEnvironment(process.env) : fromOption(option);
  const http = settings.http === undefined ? undefined : parseProxy(settings.http);
  const https = settings.https === undefined ? undefined : parseProxy(settings.https);
  if (http === undefined && https === undefined) return { choose: () => undefined };
  const exceptions = parseExceptions(settings.no ?? "");
  return {
    choose({ isSecure, host, port }) {
      const proxy = isSecure ? https : http;
      if (proxy === undefined) return undefined;
      // As Go does it: no proxy of the environment can know what this machine means by itself.
      if (isEnvironment && isLoopback(host)) return undefined;
      return exceptions.some((isMeant) => isMeant(host, port)) ? undefined : proxy;
    },
  };
}

/** The settings of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; names in lower case come first. */
export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): ProxySettings {
  const value = (name: string): string | undefined => {
    const text = environment[name.toLowerCase()] ?? environment[name];
    return text === undefined || text.trim() === "" ? undefined : text.trim();
  };
  const all = value("ALL_PROXY");
  // In a CGI program HTTP_PROXY is the request's field Proxy, which anybody can send ("httpoxy").
  const isCgi = environment.REQUEST_METHOD !== undefined;
  return {
    http: (isCgi ? environment.http_proxy : value("HTTP_PROXY")) ?? all,
    https: value("HTTPS_PROXY") ?? all,
    no: value("NO_PROXY"),
  };
}

function fromOption(option: string | ProxySettings): ProxySettings {
  return typeof option === "string" ? { http: option, https: option } : option;
}

function parseProxy(text: string): ProxyServer {
  const written = text.includes("://") ? text : `http://${text}`;
  if (!URL.canParse(written)) throw new TypeError(`Cannot use the proxy: ${JSON.stringify(text)} is no URL`);
  const url = new URL(written);
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new TypeError(`Cannot use the proxy: ${url.protocol} is neither http: nor https:`);
  const isSecure = url.protocol === "https:";
  return {
    isSecure,
    host: bareHost(url.hostname),
    port: url.port === "" ? (isSecure ? 443 : 80) : Number(url.port),
    authorization: basicAuthorization(url),
  };
}

/** The value of an Authorization field for the user and password of a URL. */
export function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  const pair = `${decoded(username)}:${decoded(password)}`;
  return `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
}

/** A host of a URL without the brackets of IPv6. */
export function bareHost(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

type Exception = (host: string, port: number) => boolean;

function parseExceptions(list: string): Exception[] {
  return list
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .map(parseException);
}

function parseException(entry: string): Exception {
  if (entry === "*") return () => true;
  const network = /^([\d.]+)\/(\d{1,2})$/.exec(entry);
  if (network !== null && isIP(network[1] ?? "") === 4) return inNetwork(network[1] ?? "", Number(network[2]));
  const [, name = entry, onlyPort] = /^(\[[^\]]*\]|[^:]+):(\d+)$/.exec(entry) ?? [];
  const meant = bareHost(name).replace(/^\*?\./, "");
  return (host, port) =>
    (onlyPort === undefined || Number(onlyPort) === port) && (host === meant || host.endsWith(`.${meant}`));
}

function inNetwork(address: string, prefixLength: number): Exception {
  const mask = prefixLength === 0 ? 0 : -1 << (32 - Math.min(prefixLength, 32));
  const network = numberOf(address) & mask;
  return (host) => isIP(host) === 4 && (numberOf(host) & mask) === network;
}

function numberOf(address: string): number {
  return address.split(".").reduce((number, part) => (number << 8) | Number(part), 0);
}
