/** The four servers: how each is prepared in its folder and run on its port. */
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";
import { findProgram, ServerProcess, serverUser } from "./server-process.js";

/** What is to be tried, and with which programs of Debian's. */
export interface Subject {
  readonly name: string;
  /** Debian's package. */
  readonly package: string;
  /** Programs that have to be there. */
  readonly needs: readonly string[];
  /** The program of test/db/programs that tries it. */
  readonly program: string;
  /** Prepares the folder, which is empty. */
  prepare(folder: string, ports: Ports): ServerProcess;
}

/** Where a server listens. */
export interface Ports {
  readonly plain: number;
  /** For those that have another one for TLS. */
  readonly tls: number;
}

/** The password of every server: a client that sends none must fail. */
export const PASSWORD = "throwaway";
const PREPARE_MS_MAX = 60_000;

export const subjects: readonly Subject[] = [
  {
    name: "PostgreSQL",
    package: "postgresql",
    needs: ["initdb", "postgres"],
    program: "postgres.js",
    prepare: preparePostgres,
  },
  {
    name: "MariaDB",
    package: "mariadb-server",
    needs: ["mariadb-install-db", "mariadbd"],
    program: "mariadb.js",
    prepare: prepareMariadb,
  },
  {
    name: "Redis",
    package: "redis-server",
    needs: ["redis-server"],
    program: "redis.js",
    prepare: prepareRedis,
  },
  {
    name: "NATS",
    package: "nats-server",
    needs: ["nats-server"],
    program: "nats.js",
    prepare: (_folder, { plain }) =>
      new ServerProcess({
        command: "nats-server",
        args: ["-a", "127.0.0.1", "-p", String(plain), "--user", "ringloom", "--pass", PASSWORD],
        ready: /Server is ready/,
        stopSignal: "SIGTERM",
      }),
  },
];

/** A port of the loopback that nobody had a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function preparePostgres(folder: string, { plain }: Ports): ServerProcess {
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, PASSWORD);
  const auth = ["-U", "ringloom", "--pwfile", passwordFile, "-A", "scram-sha-256"];
  run("initdb", ["-D", data, ...auth, "-E", "UTF8", "--locale=C", "--no-sync"]);
  const { certificate, key } = writeCertificate(folder);
  const settings = [
    "listen_addresses=127.0.0.1",
    `unix_socket_directories=${folder}`,
    "fsync=off",
    "max_connections=40",
    "ssl=on",
    `ssl_cert_file=${certificate}`,
    `ssl_key_file=${key}`,
  ];
  return new ServerProcess({
    command: "postgres",
    args: ["-D", data, "-p", String(plain), ...settings.flatMap((setting) => ["-c", setting])],
    ready: /database system is ready to accept connections/,
    stopSignal: "SIGINT",
  });
}

function prepareMariadb(folder: string, { plain }: Ports): ServerProcess {
  const data = join(folder, "data");
  const accounts = join(folder, "accounts.sql");
  const lines = [
    `CREATE USER IF NOT EXISTS 'ringloom'@'%' IDENTIFIED BY '${PASSWORD}';`,
    "GRANT ALL ON *.* TO 'ringloom'@'%';",
    "CREATE DATABASE IF NOT EXISTS trial;",
  ];
  writeFileSync(accounts, `${lines.join("\n")}\n`);
  run("mariadb-install-db", [
    "--no-defaults",
    `--datadir=${data}`,
    "--auth-root-authentication-method=normal",
    "--skip-test-db",
  ]);
  return new ServerProcess({
    command: "mariadbd",
    args: [
      "--no-defaults",
      `--datadir=${data}`,
      `--port=${plain}`,
      "--bind-address=127.0.0.1",
      `--socket=${join(folder, "mariadb.sock")}`,
      `--pid-file=${join(folder, "mariadb.pid")}`,
      `--init-file=${accounts}`,
      "--innodb-flush-log-at-trx-commit=0",
      "--innodb-buffer-pool-size=32M",
      "--max-allowed-packet=64M",
    ],
    ready: /ready for connections/,
    stopSignal: "SIGTERM",
  });
}

function prepareRedis(folder: string, { plain, tls }: Ports): ServerProcess {
  const { certificate, key } = writeCertificate(folder);
  const ports = ["--port", String(plain), "--tls-port", String(tls)];
  const address = [...ports, "--bind", "127.0.0.1", "--unixsocket", join(folder, "redis.sock")];
  const files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"];
  return new ServerProcess({
    command: "redis-server",
    args: [...address, ...files, "--dir", folder, "--save", "", "--requirepass", PASSWORD],
    ready: /[Rr]eady to accept connections/,
    stopSignal: "SIGTERM",
  });
}

/** For servers that refuse a key that others may read. */
function writeCertificate(folder: string): { readonly certificate: string; readonly key: string } {
  const files = { certificate: join(folder, "certificate.pem"), key: join(folder, "key.pem") };
  writeFileSync(files.certificate, CERTIFICATE);
  writeFileSync(files.key, CERTIFICATE_KEY, { mode: 0o600 });
  const user = serverUser();
  if (user !== undefined) for (const path of Object.values(files)) chownSync(path, user.uid, user.gid);
  return files;
}

function run(program: string, args: readonly string[]): void {
  const path = findProgram(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  execFileSync(path, args, { ...serverUser(), cwd: "/", stdio: "pipe", timeout: PREPARE_MS_MAX });
}

/** A folder that the servers' user owns. */
export function makeFolder(path: string): string {
  mkdirSync(path, { mode: 0o700 });
  const user = serverUser();
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  return path;
}
