/**
 * The places where clients of databases let a program choose the socket. Each adapter is what that one library asks for; nothing of the libraries is imported, so none
 * has to be installed.
 */
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { ClientSocket, type ClientSocketOptions } from "./client-socket.js";

/**
 * For `pg`: its option `stream`.
 * @example
 * ```ts no-check
 * import pg from "pg";
 * import { pgStream } from "ringloom/db";
 * const pool = new pg.Pool({ host: "127.0.0.1", max: 10, stream: pgStream() });
 * console.log((await pool.query("select $1::int + 1 as next", [1])).rows);
 * await pool.end();
 * ```
 * @experimental
 */
export function pgStream(options: ClientSocketOptions = {}): () => ClientSocket {
  return () => new ClientSocket(options);
}

/**
 * The part of mysql2's options that says where the server is.
 * @experimental
 */
export interface MysqlStreamTarget {
  readonly config: {
    readonly host?: string | undefined;
    readonly port?: number | string | undefined;
    readonly socketPath?: string | undefined;
    readonly enableKeepAlive?: boolean | undefined;
    readonly keepAliveInitialDelay?: number | undefined;
  };
}

/**
 * For `mysql2`: its option `stream`.
 * @example
 * ```ts no-check
 * import mysql from "mysql2/promise";
 * import { mysqlStream } from "ringloom/db";
 * const pool = mysql.createPool({ host: "127.0.0.1", user: "app", connectionLimit: 10, queueLimit: 100, stream: mysqlStream() });
 * const [rows] = await pool.execute("select ? + 1 as next", [1]);
 * await pool.end();
 * ```
 * @experimental
 */
export function mysqlStream(options: ClientSocketOptions = {}): (target: MysqlStreamTarget) => ClientSocket {
  return ({ config }) => {
    const socket = new ClientSocket(options);
    // mysql2 does this only for the sockets that it makes itself.
    if (config.enableKeepAlive === true) socket.setKeepAlive(true, config.keepAliveInitialDelay ?? 0);
    return socket.connect(config.socketPath ?? config.port ?? MYSQL_PORT, config.host);
  };
}

/**
 * For `ioredis`: its option `Connector`. Takes the `AbstractConnector` that ioredis exports. One server, over TCP, TLS or a Unix socket; sentinels have a connector of
 * ioredis's own.
 * @example
 * ```ts no-check
 * import { AbstractConnector, Redis } from "ioredis";
 * import { redisConnector } from "ringloom/db";
 * const redis = new Redis({ host: "127.0.0.1", Connector: redisConnector(AbstractConnector) });
 * await redis.set("greeting", "hello");
 * await redis.quit();
 * ```
 * @experimental
 */
export function redisConnector<Instance extends object>(
  abstractConnector: abstract new (disconnectTimeout: number) => Instance,
  options: ClientSocketOptions = {},
): new (
  redisOptions: unknown,
) => Instance {
  const Base = abstractConnector as unknown as new (disconnectTimeout: number) => RedisConnectorFields;
  class RingloomConnector extends Base {
    readonly #target: RedisTarget;

    constructor(redisOptions: unknown) {
      const target = redisOptions as RedisTarget;
      super(target.disconnectTimeout ?? REDIS_DISCONNECT_MS);
      this.#target = target;
    }

    async connect(): Promise<Duplex> {
      this.connecting = true;
      // ioredis may be told to disconnect in the same step.
      await null;
      if (!this.connecting) throw new Error("Connection is closed.");
      const { path, port = REDIS_PORT, host, tls } = this.#target;
      const plain = new ClientSocket(options).connect(path ?? port, host);
      const stream = tls === undefined ? plain : connectTls({ servername: serverName(host), ...tls, socket: plain });
      this.stream = stream;
      stream.once("error", (error: Error) => {
        this.firstError = error;
      });
      return stream;
    }
  }
  return RingloomConnector as unknown as new (
    redisOptions: unknown,
  ) => Instance;
}

/**
 * For NATS: a transport for the client's own transport factory. Takes the `NodeTransport` of `@nats-io/transport-node`, and replaces how it dials.
 * @example
 * ```ts no-check
 * import { NatsConnectionImpl, setTransportFactory } from "@nats-io/transport-node";
 * import { NodeTransport, nodeResolveHost } from "@nats-io/transport-node/lib/node_transport.js";
 * import { natsTransport } from "ringloom/db";
 * const Transport = natsTransport(NodeTransport);
 * setTransportFactory({ factory: () => new Transport(), dnsResolveFn: nodeResolveHost });
 * const nats = await NatsConnectionImpl.connect({ servers: "127.0.0.1:4222" });
 * nats.publish("greetings", "hello");
 * await nats.drain();
 * ```
 * @experimental
 */
export function natsTransport<Instance extends object>(
  nodeTransport: new () => Instance,
  options: ClientSocketOptions = {},
): new () => Instance {
  const Base = nodeTransport as unknown as new () => NatsTransportFields;
  class RingloomTransport extends Base {
    override dial({ hostname, port }: NatsTarget): Promise<Duplex> {
      const socket = new ClientSocket(options);
      return new Promise((resolve, reject) => {
        socket.once("error", reject);
        socket.connect(port, hostname, () => {
          socket.off("error", reject);
          resolve(socket);
        });
      });
    }

    override async tlsFirst(target: NatsTarget): Promise<Duplex> {
      // With a socket there, the base class secures that one and makes none.
      this.socket = await this.dial(target);
      return super.tlsFirst(target);
    }
  }
  return RingloomTransport as unknown as new () => Instance;
}

const MYSQL_PORT = 3306;
const REDIS_PORT = 6379;
const REDIS_DISCONNECT_MS = 2_000;

interface RedisTarget {
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
  readonly tls?: object;
  readonly disconnectTimeout?: number;
}

/** What ioredis's AbstractConnector has, protected fields included. */
interface RedisConnectorFields {
  connecting: boolean;
  stream: Duplex;
  firstError?: Error;
}

interface NatsTarget {
  readonly hostname: string;
  readonly port: number;
}

/** What of the NATS client's NodeTransport is replaced. */
interface NatsTransportFields {
  socket: Duplex;
  dial(target: NatsTarget): Promise<Duplex>;
  tlsFirst(target: NatsTarget): Promise<Duplex>;
}

/** The name that a certificate is checked against: SNI has no addresses (RFC 6066, section 3). */
function serverName(host: string | undefined): string {
  return host === undefined || isIP(host) !== 0 ? "" : host;
}
