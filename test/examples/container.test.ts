/** The container example, as far as it can be checked without a container runtime: its numbers agree with the product, its build steps work on what they copy. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";
import { loadNative } from "../../src/native.js";
import { RUNTIME_OPTIONS } from "../../src/runtime/options.js";
import { CUT_SLACK_MS } from "../../src/runtime/shard-group.js";
import { Ringloom } from "../cli/ringloom.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const EXAMPLE = join(ROOT, "examples", "container");
const folder = mkdtempSync(join(tmpdir(), "ringloom-container-"));

after(() => rmSync(folder, { recursive: true, force: true }));

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: {
    readonly runAsNonRoot: boolean;
    readonly runAsUser: number;
    readonly seccompProfile: { readonly type: string; readonly localhostProfile: string };
  };
  readonly containers: readonly {
    readonly image: string;
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly env: readonly { readonly name: string; readonly value: string }[];
    readonly startupProbe: Probe;
    readonly readinessProbe: Probe;
    readonly livenessProbe: Probe;
    readonly securityContext: { readonly allowPrivilegeEscalation: boolean; readonly readOnlyRootFilesystem: boolean };
  }[];
}

interface Manifest {
  readonly kind: string;
  readonly spec: {
    readonly selector: Readonly<Record<string, unknown>>;
    readonly template: { readonly metadata: { readonly labels: unknown }; readonly spec: PodSpec };
    readonly ports: readonly { readonly targetPort: string }[];
  };
}

interface Compose {
  readonly services: {
    readonly web: {
      readonly build: { readonly context: string; readonly dockerfile: string };
      readonly environment: Readonly<Record<string, string>>;
      readonly stop_grace_period: string;
      readonly security_opt: readonly string[];
      readonly ports: readonly string[];
    };
  };
}

interface Instruction {
  readonly name: string;
  readonly text: string;
  /** The number of its stage, from 0. */
  readonly stage: number;
}

function manifests(name: string): Manifest[] {
  const documents = parseAllDocuments(readFileSync(join(EXAMPLE, "kubernetes", name), "utf8"));
  for (const document of documents) assert.deepEqual(document.errors, []);
  return documents.map((document) => document.toJS() as Manifest);
}

function instructions(): Instruction[] {
  const lines = readFileSync(join(EXAMPLE, "Dockerfile"), "utf8").split("\n");
  let stage = -1;
  return lines.flatMap((line) => {
    const [, name, text] = /^([A-Z]+)\s+(.+)$/.exec(line) ?? [];
    if (name === undefined || text === undefined) return [];
    if (name === "FROM") stage++;
    return [{ name, text, stage }];
  });
}

/** The variables that the image sets. */
function imageEnvironment(): Record<string, string> {
  const pairs = instructions()
    .filter((one) => one.name === "ENV")
    .flatMap((one) => one.text.split(" "));
  return Object.fromEntries(pairs.map((pair) => pair.split("=", 2) as [string, string]));
}

describe("examples/container/kubernetes", () => {
  const [deployment] = manifests("deployment.yaml");
  assert.ok(deployment !== undefined);
  const pod = deployment.spec.template.spec;
  const [container] = pod.containers;
  assert.ok(container !== undefined);
  const environment = {
    ...imageEnvironment(),
    ...Object.fromEntries(container.env.map((one) => [one.name, one.value])),
  };

  test("gives a stop more time than it may take", () => {
    const drainMs = RUNTIME_OPTIONS.drainMs.parse(environment.RINGLOOM_DRAIN_MS);
    const readyDelayMs = Number(environment.RINGLOOM_READY_DELAY_MS);
    assert.equal(drainMs, RUNTIME_OPTIONS.drainMs.fallback, "the example shows the default");
    assert.ok(readyDelayMs > 0);
    assert.ok(pod.terminationGracePeriodSeconds * 1000 > drainMs + readyDelayMs + CUT_SLACK_MS);
  });

  test("asks the health port, by the paths that it answers, and publishes the port that is served", () => {
    const ports = Object.fromEntries(container.ports.map((one) => [one.name, String(one.containerPort)]));
    assert.equal(ports.http, environment.RINGLOOM_PORT);
    assert.equal(ports.health, environment.RINGLOOM_HEALTH_PORT);
    assert.deepEqual(container.startupProbe.httpGet, { path: "/readyz", port: "health" });
    assert.deepEqual(container.readinessProbe.httpGet, { path: "/readyz", port: "health" });
    assert.deepEqual(container.livenessProbe.httpGet, { path: "/livez", port: "health" });
    assert.equal(environment.RINGLOOM_HOST, "0.0.0.0");
  });

  test("runs as the user of the image, without privileges, under the profile", () => {
    const [user] = instructions().filter((one) => one.name === "USER");
    assert.equal(String(pod.securityContext.runAsUser), user?.text.split(":")[0]);
    assert.notEqual(pod.securityContext.runAsUser, 0);
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.deepEqual(pod.securityContext.seccompProfile, {
      type: "Localhost",
      localhostProfile: "profiles/ringloom.json",
    });
    assert.equal(container.securityContext.allowPrivilegeEscalation, false);
    assert.equal(container.securityContext.readOnlyRootFilesystem, true);
  });

  test("selects its own pods, by a port that they have", () => {
    const { labels } = deployment.spec.template.metadata;
    assert.deepEqual(deployment.spec.selector, { matchLabels: labels });
    const [service, budget] = manifests("service.yaml");
    assert.deepEqual(service?.spec.selector, labels);
    assert.equal(service?.spec.ports[0]?.targetPort, "http");
    assert.deepEqual(budget?.spec.selector, { matchLabels: labels });
  });
});

test("examples/container/compose.yaml builds the Dockerfile, and gives a stop more time than it may take", () => {
  const { web } = (parse(readFileSync(join(EXAMPLE, "compose.yaml"), "utf8")) as Compose).services;
  assert.ok(existsSync(join(EXAMPLE, web.build.context, web.build.dockerfile)));
  const [, seconds] = /^(\d+)s$/.exec(web.stop_grace_period) ?? [];
  const stopMs = Number(web.environment.RINGLOOM_DRAIN_MS) + Number(web.environment.RINGLOOM_READY_DELAY_MS);
  assert.ok(Number(seconds) * 1000 > stopMs + CUT_SLACK_MS);
  const [profile = ""] = web.security_opt;
  assert.ok(existsSync(join(EXAMPLE, profile.replace(/^seccomp=/, ""))));
  assert.equal(web.ports[0]?.split(":")[1], imageEnvironment().RINGLOOM_PORT);
});

describe("examples/container/Dockerfile", () => {
  const all = instructions();

  test("copies only what exists, and ends as another user, with a command that needs no shell", () => {
    for (const { text } of all.filter((one) => one.name === "COPY" && !one.text.startsWith("--from="))) {
      for (const source of text.split(" ").slice(0, -1)) assert.ok(existsSync(join(ROOT, source)), source);
    }
    const last = all.filter((one) => one.stage === all.at(-1)?.stage);
    assert.deepEqual(
      last.map((one) => one.name),
      ["FROM", "WORKDIR", "COPY", "ENV", "EXPOSE", "USER", "HEALTHCHECK", "CMD"],
    );
    const { RINGLOOM_PORT, RINGLOOM_HEALTH_PORT } = imageEnvironment();
    assert.equal(last[4]?.text, `${RINGLOOM_PORT} ${RINGLOOM_HEALTH_PORT}`);
    assert.ok(last[6]?.text.includes(`:${RINGLOOM_HEALTH_PORT}/readyz`));
  });

  test("names the package as npm packs it, and builds on a Node that the package supports", () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { readonly version: string };
    for (const { text } of all.filter((one) => one.text.includes(".tgz"))) {
      assert.ok(text.includes(`ringloom-${version}.tgz`), text);
    }
    const images = all.filter((one) => one.name === "FROM").map((one) => one.text.split(" ")[0] ?? "");
    const majors = images.map((image) => /^node:(\d+)-/.exec(image)?.[1]);
    assert.equal(new Set(majors).size, 1, "all stages have one Node");
  });

  const skip = loadNative() === undefined ? "the addon cannot be built here" : false;
  test("has build steps that give an application that serves", { skip, timeout: 120_000 }, async () => {
    // npm would fetch the dependencies; here they are linked, and the rest of each step is done as it stands.
    const app = join(folder, "app");
    const packages = join(app, "node_modules", "ringloom");
    mkdirSync(packages, { recursive: true });
    const packed = spawnSync("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: ROOT });
    assert.equal(packed.status, 0);
    const [archive = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
    assert.ok(all.some((one) => one.text.startsWith("npm install") && one.text.endsWith(`./${archive}`)));
    spawnSync("tar", ["-xzf", join(folder, archive), "--strip-components=1", "-C", packages]);
    for (const name of ["undici", "node-api-headers"]) {
      symlinkSync(join(ROOT, "node_modules", name), join(app, "node_modules", name));
    }
    for (const { text, stage } of all.filter((one) => one.name === "COPY")) {
      if (stage === 1 && !text.startsWith("--from=")) {
        for (const source of text.split(" ").slice(0, -1)) cpSync(join(ROOT, source), join(app, basename(source)));
      }
    }
    const build = all.find((one) => one.name === "RUN" && one.text.includes("build-native"));
    assert.ok(build !== undefined);
    const built = spawnSync("/bin/sh", ["-c", build.text], { cwd: app, encoding: "utf8" });
    assert.equal(built.status, 0, built.stdout + built.stderr);
    const command = JSON.parse(all.find((one) => one.name === "CMD")?.text ?? "[]") as string[];
    const [deployment] = manifests("deployment.yaml");
    const [container] = deployment?.spec.template.spec.containers ?? [];
    assert.ok(container !== undefined);
    // Only the address is another one, and the ready delay, which the signal below ends, is too long to be over by itself.
    const environment = {
      ...imageEnvironment(),
      ...Object.fromEntries(container.env.map((one) => [one.name, one.value])),
      RINGLOOM_HOST: "127.0.0.1",
      RINGLOOM_PORT: "0",
      RINGLOOM_HEALTH_PORT: "0",
      RINGLOOM_READY_DELAY_MS: "3600000",
    };
    const server = new Ringloom([], { environment, command, cwd: app });
    try {
      const url = await server.listening();
      assert.equal(await hello(url), "hello from a container\n");
      const [, healthUrl = ""] = await server.said(/health +(http:\/\/\S+)/);
      const probe = async ({ httpGet }: Probe) => (await fetch(healthUrl + httpGet.path)).status;
      for (const each of [container.startupProbe, container.readinessProbe, container.livenessProbe]) {
        assert.equal(await probe(each), 200);
      }
      assert.equal(healthCheck(app, healthUrl), 0);

      server.child.kill("SIGTERM");
      while ((await probe(container.readinessProbe)) !== 503) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.equal(await probe(container.livenessProbe), 200, "nothing is killed");
      assert.equal(healthCheck(app, healthUrl), 1);
      assert.equal(await hello(url), "hello from a container\n", "it serves on");
      assert.equal(await server.stop("SIGINT"), 0);
      assert.equal(healthCheck(app, healthUrl), 1, "nobody is there");
    } finally {
      server.child.kill("SIGKILL");
      await server.ended();
    }
  });

  /** On a connection of its own, so that the second signal finds none to cut. */
  async function hello(url: string): Promise<string> {
    return (await fetch(url, { headers: { connection: "close" } })).text();
  }

  /** Runs the image's HEALTHCHECK as it stands, but for the port; returns its exit code. */
  function healthCheck(cwd: string, healthUrl: string): number | null {
    const { RINGLOOM_HEALTH_PORT } = imageEnvironment();
    const text = all.find((one) => one.name === "HEALTHCHECK")?.text ?? "";
    const here = text
      .slice(text.indexOf("CMD ") + 4)
      .replace(`:${RINGLOOM_HEALTH_PORT}/`, `:${new URL(healthUrl).port}/`);
    const [, ...args] = JSON.parse(here) as string[];
    return spawnSync(process.execPath, args, { cwd, timeout: 30_000 }).status;
  }
});
