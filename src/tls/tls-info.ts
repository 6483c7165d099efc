/** What is known of the encryption of one connection. */
import type { PeerCertificate, TLSSocket } from "node:tls";

/**
 * How a connection is encrypted, and who the peer has shown to be.
 * @experimental
 */
export interface TlsInfo {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly protocol: string;
  /** The cipher suite by its standard name, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** The protocol that both sides agreed on (ALPN), such as `http/1.1`; undefined when none was. */
  readonly alpn: string | undefined;
  /** The name that the client asked for (SNI); undefined when it named none. */
  readonly servername: string | undefined;
  /** Whether the peer's certificate is one that is trusted here. False too where it was not asked for. */
  readonly isAuthorized: boolean;
  /** Why it is not, such as `SELF_SIGNED_CERT_IN_CHAIN`; undefined when it is, or nobody asked for one. */
  readonly authorizationError: string | undefined;
  /** The peer's certificate; undefined when it has shown none. Read `isAuthorized` before believing it. */
  readonly peerCertificate: PeerCertificate | undefined;
}

/** Reads them from the socket while it is open. */
export function tlsInfoOf(socket: TLSSocket): TlsInfo {
  const { alpnProtocol, authorized, authorizationError, servername } = socket as TLSSocket & {
    readonly servername?: string | false;
  };
  const certificate: PeerCertificate | null = socket.getPeerCertificate();
  // Node gives an object without fields where there is none.
  const hasCertificate = certificate !== null && Object.keys(certificate).length > 0;
  return {
    protocol: socket.getProtocol() ?? "",
    cipher: socket.getCipher()?.standardName ?? "",
    alpn: alpnProtocol === false || alpnProtocol === null ? undefined : alpnProtocol,
    servername: typeof servername === "string" && servername !== "" ? servername : undefined,
    isAuthorized: authorized && hasCertificate,
    authorizationError: hasCertificate && authorizationError ? String(authorizationError) : undefined,
    peerCertificate: hasCertificate ? certificate : undefined,
  };
}
