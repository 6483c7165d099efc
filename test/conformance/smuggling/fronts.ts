/** Proxies from Debian that stand in front of the server: started with a configuration in a folder of their own, listening on Unix sockets there, ended by their process. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** A way through a proxy to the server. */
export interface Front {
  /** `nginx`, or with what it is told to let pass. */
  readonly name: string;
  /** The path of the Unix socket that it listens on. */
  readonly path: string;
}

/** A running proxy. */
export interface RunningProxy {
  readonly version: string;
  readonly fronts: readonly Front[];
  stop(): Promise<void>;
}

/** A proxy that may be installed here. */
export interface FrontProxy {
  readonly name: "nginx" | "haproxy";
  /** Where its program is; undefined where it is not installed. */
  readonly program: string | undefined;
  start(serverPort: number): Promise<RunningProxy>;
}

/** The field that a proxy adds to every request that it sends on. The hidden requests of the corpus have none. */
export const FRONT_FIELD = "X-Front";

const START_MS_MAX = 10_000;

/** The proxies, installed or not. */
export const PROXIES: readonly FrontProxy[] = [
  proxy("nginx", { arguments: (file) => ["-c", file], configure: nginxConfiguration, version: ["-v"] }),
  proxy("haproxy", { arguments: (file) => ["-f", file], configure: haproxyConfiguration, version: ["-v"] }),
];

interface Recipe {
  arguments(file: string): string[];
  /** Writes the configuration and names the fronts in it. */
  configure(folder: string, serverPort: number): { readonly text: string; readonly fronts: readonly Front[] };
  readonly version: readonly string[];
}

function proxy(name: FrontProxy["name"], recipe: Recipe): FrontProxy {
  const program = findProgram(name);
  return {
    name,
    program,
    start: async (serverPort) => {
      if (program === undefined) throw new Error(`${name} is not installed`);
      return startProxy(program, recipe, serverPort);
    },
  };
}

/** Debian keeps servers out of the path of ordinary users. */
function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

async function startProxy(program: string, recipe: Recipe, serverPort: number): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-front-"));
  const { text, fronts } = recipe.configure(folder, serverPort);
  const file = join(folder, "front.conf");
  writeFileSync(file, text);
  const child = spawn(program, recipe.arguments(file), { stdio: ["ignore", "ignore", "pipe"] });
  let complaints = "";
  child.stderr?.on("data", (chunk) => (complaints += chunk));
  const stop = () => stopProxy(child, folder);
  const deadline = Date.now() + START_MS_MAX;
  while (!fronts.every(({ path }) => existsSync(path))) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`${program} does not start: ${complaints.trim()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { version: versionOf(program, recipe.version), fronts, stop };
}

async function stopProxy(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
  rmSync(folder, { recursive: true, force: true });
}

/** nginx tells its version on stderr, haproxy on stdout. */
function versionOf(program: string, args: readonly string[]): string {
  const text = execFileSync("/bin/sh", ["-c", 'exec "$0" "$@" 2>&1', program, ...args], { encoding: "utf8" });
  return /(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? "?";
}

/** One process, no master: what is started is what has to be ended. */
function nginxConfiguration(folder: string, serverPort: number): ReturnType<Recipe["configure"]> {
  const paths = ["body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => {
    const option = name === "body" ? "client_body_temp_path" : `${name}_temp_path`;
    return `  ${option} ${join(folder, name)};`;
  });
  const fronts = [
    { name: "nginx", path: join(folder, "nginx.sock"), more: "" },
    {
      name: "nginx, unbuffered, invalid fields let pass",
      path: join(folder, "nginx-open.sock"),
      more: "    proxy_request_buffering off;\n    ignore_invalid_headers off;\n    underscores_in_headers on;\n    merge_slashes off;\n",
    },
  ];
  const servers = fronts.map(
    ({ path, more }) => `  server {
    listen unix:${path};
${more}    location / {
      proxy_pass http://ringloom;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header ${FRONT_FIELD} yes;
      proxy_next_upstream off;
    }
  }`,
  );
  const text = `daemon off;
master_process off;
pid ${join(folder, "pid")};
error_log /dev/null;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_timeout 2s;
  client_header_timeout 2s;
  proxy_read_timeout 5s;
${paths.join("\n")}
  upstream ringloom {
    server 127.0.0.1:${serverPort};
    keepalive 16;
  }
${servers.join("\n")}
}
`;
  return { text, fronts };
}

function haproxyConfiguration(folder: string, serverPort: number): ReturnType<Recipe["configure"]> {
  const fronts = [
    { name: "haproxy", path: join(folder, "haproxy.sock"), more: "" },
    {
      name: "haproxy, invalid requests let pass",
      path: join(folder, "haproxy-open.sock"),
      more: "  option accept-invalid-http-request\n",
    },
  ];
  const frontends = fronts.map(
    ({ path, more }, index) => `frontend front${index}
  bind unix@${path}
${more}  http-request set-header ${FRONT_FIELD} yes
  default_backend ringloom
`,
  );
  const text = `global
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 2s
  timeout server 5s
  timeout http-request 2s
  http-reuse always
${frontends.join("")}backend ringloom
  server one 127.0.0.1:${serverPort}
`;
  return { text, fronts };
}
