/** Certificates in files, as the command line names them: read when a shard starts, and again when it is told to. */
import { readFileSync } from "node:fs";
import { RingloomError } from "../errors.js";
import { certificateNames, type TlsCertificate, type TlsServerOptions } from "./server-options.js";

/** Where the certificates are, as plain data that a thread is given at birth. */
export interface TlsFiles {
  /** The certificates; the first is for clients that name none of the others' hosts. */
  readonly cert: readonly string[];
  /** Their keys, in the same order. */
  readonly key: readonly string[];
  readonly ca: string | undefined;
  readonly requestCert: "off" | "optional" | "required";
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly handshakeTimeoutMs: number;
}

/** What the options of the command line say of TLS. */
export interface TlsFileOptions {
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly tlsCa: string;
  readonly tlsRequestCert: "off" | "optional" | "required";
  readonly tlsMinVersion: "TLSv1.2" | "TLSv1.3";
  readonly tlsHandshakeMs: number;
}

const NONE = "none";

/** The files that the options name; undefined for plain connections. Throws `ERR_RINGLOOM_INVALID_OPTION` for certificates without keys. */
export function tlsFilesOf(options: TlsFileOptions): TlsFiles | undefined {
  const { tlsCert, tlsKey, tlsCa } = options;
  if (tlsCert === NONE && tlsKey === NONE) {
    // It would be served without TLS to everybody.
    if (tlsCa !== NONE || options.tlsRequestCert !== "off")
      throw invalid("tlsCert", "tlsCa and tlsRequestCert are for TLS, and there is no certificate");
    return undefined;
  }
  const cert = tlsCert === NONE ? [] : listOf(tlsCert);
  const key = tlsKey === NONE ? [] : listOf(tlsKey);
  if (cert.length !== key.length)
    throw invalid("tlsKey", `certificates: ${cert.length}, keys: ${key.length}; each needs the other`);
  return {
    cert,
    key,
    ca: tlsCa === NONE ? undefined : tlsCa,
    requestCert: options.tlsRequestCert,
    minVersion: options.tlsMinVersion,
    handshakeTimeoutMs: options.tlsHandshakeMs,
  };
}

/** Reads them. Throws `ERR_RINGLOOM_INVALID_OPTION` that names the file which cannot be read, or is no certificate. */
export function readTlsFiles(files: TlsFiles): TlsServerOptions {
  const { ca, requestCert, minVersion, handshakeTimeoutMs } = files;
  const [first, ...others] = files.cert.map((path, index) => readPair(path, files.key[index] ?? ""));
  if (first === undefined) throw invalid("tlsCert", "there is no certificate");
  const sni: Record<string, TlsCertificate> = {};
  for (const pair of others) for (const name of certificateNames(pair.cert)) sni[name] ??= pair;
  // Who asks for one of the first one's own names gets it, even where a later one has a wildcard for it.
  for (const name of certificateNames(first.cert)) sni[name] = first;
  return {
    ...first,
    ...(others.length === 0 ? {} : { sni }),
    ...(ca === undefined ? {} : { ca: readPem("tlsCa", ca) }),
    requestCert,
    minVersion,
    handshakeTimeoutMs,
  };
}

function readPair(cert: string, key: string): TlsCertificate {
  return { cert: readPem("tlsCert", cert), key: readPem("tlsKey", key) };
}

function readPem(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw invalid(option, `${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`, cause);
  }
}

function listOf(text: string): string[] {
  return text
    .split(",")
    .map((path) => path.trim())
    .filter((path) => path !== "");
}

function invalid(option: string, why: string, cause?: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot serve TLS with ${option}: ${why}.`, {
    operation: "configure TLS",
    details: { option },
    cause,
  });
}
