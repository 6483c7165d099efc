/**
 * The server's side of handshakes: raw sockets go in, secured ones come out. It listens nowhere itself, so a listener, a descriptor that another thread has accepted and a PROXY
 * header in front of the handshake are all the same to it.
 *
 * Node's `tls.Server` does the work, and is given each raw socket by its documented "connection" event.
 */
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import {
  changedTlsOptions,
  checkTlsServerOptions,
  TlsCertificates,
  type TlsReload,
  type TlsServerOptions,
} from "./server-options.js";

const HANDSHAKE_TIMEOUT_MS_DEFAULT = 10_000;
const HANDSHAKES_MAX_DEFAULT = 1_024;
const ALPN_DEFAULT = ["http/1.1"];

/**
 * Who hears how one handshake ended. Exactly one of the two is called, once.
 * @experimental
 */
export interface HandshakeEnd {
  secured(socket: TLSSocket): void;
  /** The raw socket is gone, or about to be. */
  failed(error: Error | undefined): void;
}

/**
 * The handshakes of one shard: what a driver is given (`DriverOptions.tls`) so that its connections speak TLS.
 * @experimental
 */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #handshakesMax: number;
  readonly #pending = new Map<Socket, HandshakeEnd>();
  #waiting: (() => void)[] = [];
  #options: TlsServerOptions;
  #certificates: TlsCertificates;

  /** Throws `ERR_RINGLOOM_INVALID_OPTION`. */
  constructor(options: TlsServerOptions) {
    checkTlsServerOptions(options);
    this.#options = options;
    this.#certificates = new TlsCertificates(options);
    this.#handshakesMax = options.handshakesMax ?? HANDSHAKES_MAX_DEFAULT;
    const { requestCert = "off", alpn = ALPN_DEFAULT } = options;
    this.#server = createServer({
      ALPNProtocols: [...alpn],
      requestCert: requestCert !== "off",
      rejectUnauthorized: requestCert === "required",
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS_DEFAULT,
      // Asked for each handshake whose client names a host, so certificates can change at any time.
      SNICallback: (name, done) => done(null, this.#certificates.contextFor(name)),
      ...this.#withoutName(),
    });
    this.#server.on("secureConnection", (socket) => {
      socket.allowHalfOpen = true;
      this.#take(rawOf(socket))?.secured(socket);
    });
    this.#server.on("tlsClientError", (error, socket) => {
      this.#take(rawOf(socket))?.failed(error);
      socket.destroy();
    });
  }

  /** Handshakes under way. */
  get handshakesNow(): number {
    return this.#pending.size;
  }

  /** Resolves when none is under way, in `ms` milliseconds at the latest: what is left then is cut. */
  idle(ms: number): Promise<void> {
    if (this.#pending.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.cut(), ms);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Cuts every handshake. */
  cut(): void {
    for (const raw of this.#pending.keys()) raw.destroy();
  }

  /** Begins a handshake; `end` hears how it ended, later. A raw socket too many is cut. */
  accept(raw: Socket, end: HandshakeEnd): void {
    raw.on("error", ignore);
    if (this.#pending.size >= this.#handshakesMax) {
      raw.destroy();
      process.nextTick(() => end.failed(undefined));
      return;
    }
    this.#pending.set(raw, end);
    // Node tells of an error before this; what is left here was cut from our side.
    raw.once("close", () => this.#take(raw)?.failed(undefined));
    // Who leaves amid the handshake is gone at once, and holds no place until the time is over. Afterwards either side may end first.
    raw.allowHalfOpen = false;
    this.#server.emit("connection", raw);
  }

  /** From the next handshake on these certificates are shown; connections go on as they are. Throws `ERR_RINGLOOM_INVALID_OPTION`, and changes nothing then. */
  reload(changes: TlsReload): void {
    const options = changedTlsOptions(this.#options, changes);
    const certificates = new TlsCertificates(options);
    this.#options = options;
    this.#certificates = certificates;
    this.#server.setSecureContext(this.#withoutName());
  }

  /** What `tls.Server` makes its own context of, for clients that name no host. */
  #withoutName(): Parameters<Server["setSecureContext"]>[0] {
    const { cert, key, passphrase, ca, ciphers, minVersion = "TLSv1.2", maxVersion = "TLSv1.3" } = this.#options;
    return {
      cert: nodePem(cert),
      key: nodePem(key),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(ca === undefined ? {} : { ca: [ca].flat().map(nodePem) }),
      ...(ciphers === undefined ? {} : { ciphers }),
      minVersion,
      maxVersion,
    };
  }

  #take(raw: Socket | undefined): HandshakeEnd | undefined {
    if (raw === undefined) return undefined;
    const end = this.#pending.get(raw);
    if (this.#pending.delete(raw) && this.#pending.size === 0 && this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      // Behind what the last one's end brings.
      process.nextTick(() => {
        for (const resolve of waiting) resolve();
      });
    }
    return end;
  }
}

/** The socket under the encryption. Node gives it no public name; a socket without it would be one that this file has not made. */
function rawOf(socket: TLSSocket): Socket | undefined {
  return (socket as unknown as { readonly _parent?: Socket })._parent;
}

function nodePem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}

function ignore(): void {}
