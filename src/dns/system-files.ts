/** The two files that say what a machine knows about names: hosts(5) and resolv.conf(5). */
import { join } from "node:path";
import { type Address, addressOf } from "./address.js";

/** Where the hosts file is. */
export function hostsPath(): string {
  if (process.platform !== "win32") return "/etc/hosts";
  return join(process.env.SystemRoot ?? "C:\\Windows", "System32\\drivers\\etc\\hosts");
}

/** Where the list of search domains is; Windows has none. */
export const RESOLV_CONF_PATH = "/etc/resolv.conf";

/** The addresses of each name, in lower case. What makes no sense is passed over, as the C library does. */
export function parseHosts(text: string): Map<string, Address[]> {
  const hosts = new Map<string, Address[]>();
  for (const line of text.split("\n")) {
    const [ip = "", ...names] = (line.split("#", 1)[0] ?? "").trim().split(/\s+/);
    const address = addressOf(ip);
    if (address === undefined) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      const known = hosts.get(key);
      if (known === undefined) hosts.set(key, [address]);
      else if (!known.some((one) => one.address === address.address)) known.push(address);
    }
  }
  return hosts;
}

/** How names that are not complete are completed. */
export interface SearchList {
  readonly domains: readonly string[];
  /** A name with so many dots is tried as it is first. */
  readonly ndots: number;
}

/** The domains that are tried at most: the C library's limit is by characters, and as far away. */
const DOMAINS_MAX = 32;
const NDOTS_MAX = 15;

/** The search list of a resolv.conf: the last `search` or `domain` counts. */
export function parseSearchList(text: string): SearchList {
  let domains: string[] = [];
  let ndots = 1;
  for (const line of text.split("\n")) {
    const [word, ...rest] = (line.split(/[#;]/, 1)[0] ?? "").trim().split(/\s+/);
    if (word === "search") domains = rest;
    else if (word === "domain") domains = rest.slice(0, 1);
    else if (word === "options") ndots = rest.map(ndotsOf).find((value) => value !== undefined) ?? ndots;
  }
  const named = domains.map((domain) => domain.replace(/\.$/, "").toLowerCase()).filter((domain) => domain !== "");
  return { domains: named.slice(0, DOMAINS_MAX), ndots };
}

/** The full names that a name may stand for, in the order in which they are tried. */
export function candidates(name: string, { domains, ndots }: SearchList): string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const completed = domains.map((domain) => `${name}.${domain}`);
  return name.split(".").length - 1 >= ndots ? [name, ...completed] : [...completed, name];
}

function ndotsOf(option: string): number | undefined {
  const digits = /^ndots:(\d+)$/.exec(option)?.[1];
  return digits === undefined ? undefined : Math.min(Number(digits), NDOTS_MAX);
}
