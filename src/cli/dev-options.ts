/** Options that only `ringloom dev` has. */
import {
  integerOption,
  type OptionDefinition,
  type OptionSources,
  resolveOption,
  textOption,
} from "../runtime/option.js";
import { RUNTIME_OPTIONS, type RuntimeOptions } from "../runtime/options.js";

/** Where the inspector listens. */
export interface InspectorAddress {
  readonly host: string;
  readonly port: number;
}

/** The options of `dev`, resolved. */
export interface DevOptions {
  /** Files and folders that count besides the module's own, separated by commas; empty for none. */
  readonly watchPath: string;
  /** How often files are looked at without being told, in milliseconds; 0 relies on the operating system. */
  readonly watchPollMs: number;
  readonly inspect: InspectorAddress | "off";
  readonly inspectWait: InspectorAddress | "off";
}

/** Node's own default, which debuggers look at. */
const INSPECTOR_DEFAULT: InspectorAddress = { host: "127.0.0.1", port: 9229 };

/** Defaults of development that differ from those of `serve`: a restart should be quick, and a stack should point to what was written. */
export const DEV_DEFAULTS = { drainMs: 1_000, drainGraceMs: 50, sourceMaps: "on" } as const;

/**
 * Options of `serve` that mean nothing here and are refused: there is one shard, which is replaced after a change and not by a policy, may
 * stand at a breakpoint for as long as somebody likes, and has no supervisor. Their variables are ignored, because a shell may have them for `serve`.
 */
export const SERVE_ONLY = [
  "shards",
  "cpu",
  "startMs",
  "unix",
  "unixMode",
  "tlsCert",
  "tlsKey",
  "tlsCa",
  "tlsRequestCert",
  "tlsMinVersion",
  "tlsHandshakeMs",
  "watchdogMs",
  "reusePort",
  "healthPort",
  "healthHost",
  "stuckMs",
  "stuckReplaceMs",
  "liveMs",
  "readyDelayMs",
  "restartsMax",
  "restartWindowMs",
  "restartBackoffMs",
  "shardExit",
  "supervisorModule",
] as const satisfies readonly (keyof RuntimeOptions)[];

/** `environment` without the variables of options that `dev` does not have: not even a value that is not allowed there may stop it. */
export function devEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const ignored: readonly string[] = SERVE_ONLY.flatMap((name) => RUNTIME_OPTIONS[name].environment);
  return Object.fromEntries(Object.entries(environment).filter(([variable]) => !ignored.includes(variable)));
}

type Definitions = { readonly [Name in keyof DevOptions]: OptionDefinition<DevOptions[Name]> };

/** The definition of each option of `dev`. */
export const DEV_OPTIONS: Definitions = {
  inspect: inspectorOption({
    flag: "inspect",
    environment: ["RINGLOOM_INSPECT"],
    description: "Lets debuggers attach, at that address. Alone it means 127.0.0.1:9229.",
  }),
  inspectWait: inspectorOption({
    flag: "inspect-wait",
    environment: ["RINGLOOM_INSPECT_WAIT"],
    description: "The same, and the module is not loaded before a debugger has attached.",
  }),
  watchPath: textOption({
    flag: "watch-path",
    environment: ["RINGLOOM_WATCH_PATH"],
    placeholder: "LIST",
    fallback: "",
    fallbackText: "none",
    allowed: "paths, separated by commas",
    description: "Files and folders that count besides those that the module imports, such as templates.",
  }),
  watchPollMs: integerOption({
    flag: "watch-poll-ms",
    environment: ["RINGLOOM_WATCH_POLL_MS"],
    placeholder: "MS",
    fallback: 0,
    fallbackText: "0",
    min: 0,
    max: 60_000,
    description:
      "Looks at the files so often, for shared folders that report no changes. 0 relies on the system's reports.",
  }),
};

/** Resolves the options of `dev`. Throws `ERR_RINGLOOM_INVALID_OPTION` at the first one that is not allowed. */
export function resolveDevOptions(sources: OptionSources): DevOptions {
  function pick<Name extends keyof DevOptions>(name: Name): DevOptions[Name] {
    return resolveOption(name, DEV_OPTIONS[name], sources);
  }
  return {
    inspect: pick("inspect"),
    inspectWait: pick("inspectWait"),
    watchPath: pick("watchPath"),
    watchPollMs: pick("watchPollMs"),
  };
}

function inspectorOption(
  identity: Pick<OptionDefinition<unknown>, "flag" | "environment" | "description">,
): OptionDefinition<InspectorAddress | "off"> {
  return {
    ...identity,
    placeholder: "[HOST:]PORT",
    fallback: "off",
    fallbackText: "off",
    allowed: "a port from 0 to 65535, HOST:PORT, on or off",
    parse: parseInspector,
  };
}

/** The flag alone is the empty text. */
function parseInspector(value: unknown): InspectorAddress | "off" | undefined {
  if (value === "off") return "off";
  if (value === "" || value === "on") return INSPECTOR_DEFAULT;
  const [, host = INSPECTOR_DEFAULT.host, digits] = /^(?:(.+):)?(\d{1,5})$/.exec(String(value)) ?? [];
  const port = Number(digits);
  return digits === undefined || port > 65_535 ? undefined : { host: host.replace(/^\[(.*)\]$/, "$1"), port };
}
