/** How a server speaks TLS: the options, checked and turned into contexts of `node:tls`. */
import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureVersion } from "node:tls";
import { RingloomError } from "../errors.js";
import { buffersOf, isProtocolList, type Pem } from "./client-options.js";

/**
 * A certificate and its key, in PEM.
 * @experimental
 */
export interface TlsCertificate {
  /** The certificate, with those that lead to a trusted one behind it. */
  readonly cert: Pem;
  readonly key: Pem;
  /** Of an encrypted key. */
  readonly passphrase?: string | undefined;
}

/**
 * How a server speaks TLS, over Node's own implementation. `cert` and `key` are what clients get that name no host, or one that `sni` does not have.
 *
 * ```ts
 * import { readFileSync } from "node:fs";
 * import { serve } from "ringloom/http";
 *
 * const tls = { cert: readFileSync("server.crt"), key: readFileSync("server.key") };
 * const server = await serve({ port: 443, tls, fetch: () => new Response("hello") });
 * // When the files have been renewed:
 * server.reloadTls({ cert: readFileSync("server.crt"), key: readFileSync("server.key") });
 * ```
 * @experimental
 */
export interface TlsServerOptions extends TlsCertificate {
  /** Further certificates, by the name that clients ask for (SNI): `api.example.org`, or `*.example.org` for each name of one more label. */
  readonly sni?: Readonly<Record<string, TlsCertificate>> | undefined;
  /** Whose client certificates are trusted, in PEM. Default: those that Node trusts. */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** Whether clients are asked for a certificate: `required` refuses those without a trusted one, `optional` leaves it to the handler (`c.tls`). Default: `off`. */
  readonly requestCert?: "off" | "optional" | "required" | undefined;
  /** Default: TLSv1.2. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** Default: TLSv1.3. */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** Cipher suites, in OpenSSL's form. Default: Node's. */
  readonly ciphers?: string | undefined;
  /** Protocols that the server speaks (ALPN). Default: `http/1.1`. */
  readonly alpn?: readonly string[] | undefined;
  /** How long a handshake may take, in milliseconds. Default: 10,000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Handshakes that may be under way at once on one shard; who comes then is cut. Default: 1,024. */
  readonly handshakesMax?: number | undefined;
}

/**
 * What can change while a server runs; what is left out stays.
 * @experimental
 */
export type TlsReload = Partial<Pick<TlsServerOptions, "cert" | "key" | "passphrase" | "sni" | "ca">>;

const RELOAD_NAMES: readonly (keyof TlsReload)[] = ["cert", "key", "passphrase", "sni", "ca"];

const NAMES: readonly (keyof TlsServerOptions)[] = [
  "cert",
  "key",
  "passphrase",
  "sni",
  "ca",
  "requestCert",
  "minVersion",
  "maxVersion",
  "ciphers",
  "alpn",
  "handshakeTimeoutMs",
  "handshakesMax",
];
const CERTIFICATE_NAMES: readonly (keyof TlsCertificate)[] = ["cert", "key", "passphrase"];
const VERSIONS: readonly SecureVersion[] = ["TLSv1.2", "TLSv1.3"];
const REQUESTS = ["off", "optional", "required"] as const;
const COUNT_MAX = 1_000_000;
const TIMEOUT_MS_MAX = 3_600_000;

/** The certificates of a server, read: which one a client gets. */
export class TlsCertificates {
  readonly fallback: SecureContext;
  readonly #exact = new Map<string, SecureContext>();
  /** By what stands behind the first label. */
  readonly #wild = new Map<string, SecureContext>();

  /** Throws `ERR_RINGLOOM_INVALID_OPTION` for what cannot be read, and for a key that is not the certificate's. */
  constructor(options: TlsServerOptions) {
    this.fallback = contextOf(options, options, "");
    for (const [name, certificate] of Object.entries(options.sni ?? {})) {
      const context = contextOf(certificate, options, `sni ${name}`);
      const lower = name.toLowerCase();
      if (lower.startsWith("*.")) this.#wild.set(lower.slice(2), context);
      else this.#exact.set(lower, context);
    }
  }

  /** The context for the name that a client asks for. */
  contextFor(name: string): SecureContext {
    const lower = name.toLowerCase();
    const dot = lower.indexOf(".");
    return this.#exact.get(lower) ?? (dot > 0 ? this.#wild.get(lower.slice(dot + 1)) : undefined) ?? this.fallback;
  }
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for an option that is unknown or not allowed. What the certificates are, {@link TlsCertificates} finds out. */
export function checkTlsServerOptions(options: TlsServerOptions): void {
  if (typeof options !== "object" || options === null) throw invalidTls("tls", options, "an object is allowed");
  checkNames(options, NAMES, "");
  checkCertificate(options, "");
  for (const [name, certificate] of Object.entries(options.sni ?? {})) {
    if (name === "" || /[^a-z0-9.*_-]/i.test(name) || name.lastIndexOf("*") > 0)
      throw invalidTls("sni", name, "names such as api.example.org and *.example.org are allowed");
    checkNames(certificate, CERTIFICATE_NAMES, `sni ${name}: `);
    checkCertificate(certificate, `sni ${name}: `);
  }
  const { requestCert, minVersion, maxVersion, alpn, handshakeTimeoutMs, handshakesMax } = options;
  oneOf("requestCert", requestCert, REQUESTS);
  oneOf("minVersion", minVersion, VERSIONS);
  oneOf("maxVersion", maxVersion, VERSIONS);
  if (minVersion === "TLSv1.3" && maxVersion === "TLSv1.2")
    throw invalidTls("maxVersion", maxVersion, "a version that is not below minVersion is allowed");
  if (alpn !== undefined && !isProtocolList(alpn))
    throw invalidTls("alpn", alpn, "a list of names of 1 to 255 bytes is allowed");
  count("handshakeTimeoutMs", handshakeTimeoutMs, TIMEOUT_MS_MAX);
  count("handshakesMax", handshakesMax, COUNT_MAX);
}

/** The options as they are after a change. Throws `ERR_RINGLOOM_INVALID_OPTION` for what cannot change. */
export function changedTlsOptions(options: TlsServerOptions, changes: TlsReload): TlsServerOptions {
  checkNames(changes, RELOAD_NAMES, "");
  const changed = { ...options, ...changes };
  checkTlsServerOptions(changed);
  return changed;
}

/** The names of a certificate's `subjectAltName`, as keys for {@link TlsServerOptions.sni}. Throws `ERR_RINGLOOM_INVALID_OPTION` for what is no certificate. */
export function certificateNames(cert: Pem): string[] {
  let names: string | undefined;
  try {
    names = new X509Certificate(typeof cert === "string" ? cert : Buffer.from(cert)).subjectAltName;
  } catch (cause) {
    throw invalidTls("cert", "", cause instanceof Error ? cause.message : String(cause), cause);
  }
  return (names ?? "")
    .split(", ")
    .filter((name) => name.startsWith("DNS:"))
    .map((name) => name.slice("DNS:".length));
}

function contextOf(certificate: TlsCertificate, options: TlsServerOptions, where: string): SecureContext {
  const { ca, minVersion = "TLSv1.2", maxVersion = "TLSv1.3", ciphers } = options;
  const { cert, key, passphrase } = certificate;
  try {
    return createSecureContext({
      cert: buffersOf(cert),
      key: buffersOf(key),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(ca === undefined ? {} : { ca: buffersOf(ca) }),
      ...(ciphers === undefined ? {} : { ciphers }),
      minVersion,
      maxVersion,
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw invalidTls(where === "" ? "tls" : `tls (${where})`, "", why, cause);
  }
}

function checkNames(options: object, names: readonly string[], where: string): void {
  for (const name of Object.keys(options))
    if (!names.includes(name)) throw invalidTls(`${where}${name}`, "", `known are ${names.join(", ")}`);
}

function checkCertificate(certificate: TlsCertificate, where: string): void {
  for (const name of ["cert", "key"] as const) {
    const value: unknown = certificate[name];
    if (typeof value !== "string" && !(value instanceof Uint8Array))
      throw invalidTls(`${where}${name}`, value, "PEM, as text or bytes, is needed");
  }
}

function oneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (value !== undefined && !allowed.includes(String(value)))
    throw invalidTls(name, value, `${allowed.join(", ")} are allowed`);
}

function count(name: string, value: number | undefined, max: number): void {
  if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= max))
    throw invalidTls(name, value, `a whole number from 1 to ${max} is allowed`);
}

function invalidTls(option: string, value: unknown, why: string, cause?: unknown): RingloomError {
  const shown = typeof value === "string" && value !== "" ? ` ${JSON.stringify(value)}` : "";
  // Never a key: only what was named.
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot serve TLS with ${option}${shown}: ${why}`, {
    operation: "configure TLS",
    details: { option },
    cause,
  });
}
