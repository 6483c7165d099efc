/** How a client speaks TLS: the options, checked and turned into those of `node:tls`. */
import { isIP } from "node:net";
import {
  type ConnectionOptions,
  createSecureContext,
  checkServerIdentity as isOfHost,
  type PeerCertificate,
  type SecureContext,
  type SecureVersion,
} from "node:tls";
import { RingloomError } from "../errors.js";

/**
 * A certificate, a key, or several in one text: PEM, as text or bytes.
 * @experimental
 */
export type Pem = string | Uint8Array;

/**
 * How a client speaks TLS. Without any option it trusts what Node trusts, and checks that the certificate is one for the name that it connects to.
 *
 * An object that is used for many connections is read once: its secure context is kept with it, so certificates are not parsed for each.
 * @experimental
 */
export interface TlsClientOptions {
  /** The name that is asked for (SNI) and that the certificate has to be for. Default: the host, unless that is an IP address. */
  readonly servername?: string | undefined;
  /** Whom to trust, in place of what Node trusts: certificates in PEM. */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** The client's own certificate with those that lead to a trusted one behind it, in PEM; with `key`. */
  readonly cert?: Pem | undefined;
  /** The key of `cert`, in PEM. */
  readonly key?: Pem | undefined;
  /** Of an encrypted `key`. */
  readonly passphrase?: string | undefined;
  /** Protocols to offer (ALPN), the preferred one first. Default: none is offered. */
  readonly alpn?: readonly string[] | undefined;
  /** Default: what Node has, which is TLS 1.2. */
  readonly minVersion?: SecureVersion | undefined;
  /** Default: what Node has, which is TLS 1.3. */
  readonly maxVersion?: SecureVersion | undefined;
  /** Cipher suites, in OpenSSL's form. Default: Node's. */
  readonly ciphers?: string | undefined;
  /** Whether a peer that cannot show a trusted certificate for the name is refused. Default: true. False is for tests: whoever sits in between can then read everything. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Says why a trusted certificate is not one of this host. Default: Node's check of the name. */
  readonly checkServerIdentity?: ((host: string, certificate: PeerCertificate) => Error | undefined) | undefined;
  /** A context that was made with `tls.createSecureContext`, in place of all that it is made of. */
  readonly secureContext?: SecureContext | undefined;
}

const NAMES: readonly (keyof TlsClientOptions)[] = [
  "servername",
  "ca",
  "cert",
  "key",
  "passphrase",
  "alpn",
  "minVersion",
  "maxVersion",
  "ciphers",
  "rejectUnauthorized",
  "checkServerIdentity",
  "secureContext",
];

const DEFAULTS: TlsClientOptions = {};

/** Contexts by the options that they were made of: reading the certificates that a system trusts takes milliseconds. */
const contexts = new WeakMap<TlsClientOptions, SecureContext>();

/**
 * What `tls.connect` is called with, besides the address.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for an unknown name, and for certificates or keys that cannot be read.
 */
export function clientConnectionOptions(tls: boolean | TlsClientOptions, host: string | undefined): ConnectionOptions {
  const options = tls === true ? DEFAULTS : tls;
  if (typeof options !== "object" || options === null) throw invalid("tls", "true or an object is allowed");
  for (const name of Object.keys(options))
    if (!NAMES.includes(name as keyof TlsClientOptions)) throw invalid(name, `known are ${NAMES.join(", ")}`);
  const { servername = host, alpn, rejectUnauthorized = true, checkServerIdentity = isOfHost } = options;
  if (alpn !== undefined && !isProtocolList(alpn))
    throw invalid("alpn", "a list of names of 1 to 255 bytes is allowed");
  if (typeof checkServerIdentity !== "function") throw invalid("checkServerIdentity", "a function is allowed");
  // RFC 6066, section 3: an address is no name to ask for. The certificate is then checked for the address.
  const asked = servername === undefined || isIP(servername) !== 0 ? "" : servername;
  return {
    secureContext: contextOf(options),
    servername: asked,
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    rejectUnauthorized,
    checkServerIdentity: (name, certificate) => {
      try {
        // Where no name is asked for, Node would check for the address that is dialed, or for "localhost".
        return checkServerIdentity(servername || name, certificate);
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error));
      }
    },
  };
}

function contextOf(options: TlsClientOptions): SecureContext {
  if (options.secureContext !== undefined) return options.secureContext;
  let context = contexts.get(options);
  if (context === undefined) {
    context = makeContext(options);
    contexts.set(options, context);
  }
  return context;
}

function makeContext({ ca, cert, key, passphrase, minVersion, maxVersion, ciphers }: TlsClientOptions): SecureContext {
  if ((cert === undefined) !== (key === undefined)) throw invalid("cert", "cert and key come together");
  try {
    return createSecureContext({
      ...(ca === undefined ? {} : { ca: buffersOf(ca) }),
      ...(cert === undefined ? {} : { cert: buffersOf(cert) }),
      ...(key === undefined ? {} : { key: buffersOf(key) }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(minVersion === undefined ? {} : { minVersion }),
      ...(maxVersion === undefined ? {} : { maxVersion }),
      ...(ciphers === undefined ? {} : { ciphers }),
    });
  } catch (cause) {
    throw invalid("tls", cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** Whether OpenSSL takes it: Node ends the process over an empty name. */
export function isProtocolList(alpn: unknown): boolean {
  const isName = (name: unknown): boolean => typeof name === "string" && name !== "" && Buffer.byteLength(name) <= 255;
  return Array.isArray(alpn) && alpn.length > 0 && alpn.every(isName);
}

/** The form that `node:tls` takes. */
export function buffersOf(pem: Pem | readonly Pem[]): (string | Buffer)[] {
  const list: readonly Pem[] = typeof pem === "string" || pem instanceof Uint8Array ? [pem] : pem;
  return list.map((one) => (typeof one === "string" ? one : Buffer.from(one)));
}

function invalid(option: string, why: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot speak TLS with the option ${option}: ${why}`, {
    operation: "connect",
    details: { option },
    cause,
  });
}
