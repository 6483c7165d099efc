/** The parts of `docs/conformance.md`: lines of Markdown, and what keeps the command from ending with 0. */
import type { GoldenCase } from "./golden/golden-cases.js";
import { type GoldenResult, notOursBecause } from "./golden/golden-run.js";
import type { DirectResult } from "./smuggling/direct-run.js";
import type { FrontScore } from "./smuggling/front-run.js";
import type { LibraryScore } from "./websocket/library-run.js";
import { type CaseResult, scoresOf } from "./websocket/list-run.js";

/** One part of the report. */
export interface Part {
  readonly lines: readonly string[];
  /** Differences that nothing explains. */
  readonly unexplained: readonly string[];
  /** What could not be run here, and why. */
  readonly skipped: readonly string[];
}

/** The part of a check that cannot be run here. */
export function skippedPart(title: string, why: string): Part {
  return { lines: [`## ${title}`, "", `Not run: ${why}.`], unexplained: [], skipped: [`${title}: ${why}`] };
}

export const GOLDEN_TITLE = "llhttp's golden cases";

export function goldenPart(version: string, cases: readonly GoldenCase[], results: readonly GoldenResult[]): Part {
  const agreeing = results.filter(({ verdict }) => verdict === "agrees");
  const explained = results.filter(({ verdict }) => verdict === "explained");
  const unexplained = results.filter(({ verdict }) => verdict === "unexplained");
  const withHost = results.filter(({ hasAddedHost }) => hasAddedHost).length;
  const lines = [
    `## ${GOLDEN_TITLE}`,
    "",
    `The ${cases.length} cases of llhttp ${version} (its own tests of requests and responses), read from a checkout of its repository. Those for requests in its strict mode are fed to the server, whole and cut in two at`,
    "every byte, received in a slab and in chunks; compared are the requests that the handler saw, field by field, and whether the rest was refused.",
    `${withHost} of them name no Host, which llhttp leaves to its user to ask for: the field is put in, so that they are about what they are about.`,
    "",
    "| | cases |",
    "|---|---|",
    `| agree | ${agreeing.length} |`,
    `| differ, for a reason given below | ${explained.length} |`,
    `| differ, unexplained | ${unexplained.length} |`,
    ...countsOf(cases.map(notOursBecause)).map(([reason, count]) => `| not run: ${reason} | ${count} |`),
    ...(explained.length === 0 ? [] : ["", "| differs | because |", "|---|---|"]),
    ...explained.map(({ id, reason }) => `| ${cell(id)} | ${cell(reason)} |`),
  ];
  return { lines, unexplained: unexplained.map(({ id, reason }) => `${id}: ${reason}`), skipped: [] };
}

export const SMUGGLING_TITLE = "Request smuggling";

export function smugglingPart(
  direct: readonly DirectResult[],
  fronts: readonly FrontScore[],
  skipped: readonly string[],
): Part {
  const { groups, explained } = direct[0] ?? { groups: [], explained: [] };
  const total = groups.reduce((sum, { mutations }) => sum + mutations, 0);
  const problems = [
    ...new Set(direct.flatMap((one) => one.problems)),
    ...fronts.flatMap(({ front, problems }) => problems.map((problem) => `${front}: ${problem}`)),
  ];
  const lines = [
    `## ${SMUGGLING_TITLE}`,
    "",
    `${total} mutations of a request with another one hidden in what may be its body: contradicting lengths and codings, every byte at every place of the lines that frame a body, chunk sizes and line ends, trailers, request`,
    "lines, fields that proxies act on. `test/conformance/smuggling/corpus.ts` makes them.",
    "",
    "**Fed to the server.** A second reader, which knows nothing but the grammar of RFC 9112, says what each means. The server may refuse more than it, and accept nothing else.",
    "",
    "| group | mutations | refused | accepted | of these beyond the grammar | unexplained |",
    "|---|---|---|---|---|---|",
    ...groups.map(({ group, mutations, refused, accepted }) => {
      const [beyond, bad] = [explained.map(({ name }) => name), problems].map(
        (names) => names.filter((name) => name.startsWith(`${group}:`)).length,
      );
      return `| ${group} | ${mutations} | ${refused} | ${accepted} | ${beyond} | ${bad} |`;
    }),
    "",
    ...explained.map(({ name, reason }) => `- ${name}: ${reason}.`),
    "",
    "**Through a proxy**, over connections to the server that it keeps alive and shares among its clients. The proxy marks each request that it sends on; one that arrives without the mark was something else to the proxy, and a",
    "mark inside a body was a request.",
    "",
    "| proxy | version | mutations | requests of which the handler saw | read otherwise |",
    "|---|---|---|---|---|",
    ...fronts.map(
      ({ front, version, mutations, accepted, problems }) =>
        `| ${front} | ${version} | ${mutations} | ${accepted} | ${problems.length} |`,
    ),
    ...skipped.map((why) => `\nNot run: ${why}.`),
  ];
  return { lines, unexplained: problems, skipped };
}

export const WEB_SOCKET_TITLE = "The Autobahn list for WebSockets";

/** One server's results. */
export interface ServerResults {
  readonly name: string;
  readonly version: string;
  readonly results: readonly CaseResult[];
}

export function webSocketPart(
  servers: readonly ServerResults[],
  library: readonly (LibraryScore & { readonly name: string; readonly version: string })[],
  skipped: readonly string[],
): Part {
  const all = servers[0]?.results.length ?? 0;
  const lines = [
    `## ${WEB_SOCKET_TITLE}`,
    "",
    `The ${all} numbers of the Autobahn test suite, by a driver of our own: the suite itself needs Python 2. The same list against the server of \`ws\` shows that the driver asks for what others give too. \`non-strict\` is the`,
    "suite's word for what the RFC allows and could be done earlier: text that is no UTF-8 is refused when its message is complete, and messages in front of a violation in the same read may go without an answer.",
    "In sections 12 and 13 the payloads are made here, and the messages of a case hold 256 KiB together, at least four of them.",
    "",
    `| section | cases | ${servers.map(({ name, version }) => `${name}${version === "" ? "" : ` ${version}`}`).join(" | ")} |`,
    `|---|---|${"---|".repeat(servers.length)}`,
    ...sectionRows(servers),
    "",
    ...library.map(
      ({ name, version, checks, problems }) =>
        `- The client of ws ${version} against ${name}: ${checks - problems.length} of ${checks} exchanges as they should be.`,
    ),
    ...skipped.map((why) => `\nNot run: ${why}.`),
  ];
  const failed = servers.flatMap(({ name, results }) =>
    results
      .filter(({ verdict }) => verdict === "failed")
      .map(({ id, what, problem }) => `${name}, ${id} (${what}): ${problem}`),
  );
  const bad = library.flatMap(({ name, problems }) =>
    problems.map((problem) => `the client of ws against ${name}: ${problem}`),
  );
  return { lines, unexplained: [...failed, ...bad], skipped };
}

function sectionRows(servers: readonly ServerResults[]): string[] {
  const scores = servers.map(({ results }) => scoresOf(results));
  return (scores[0] ?? []).map(({ section, title, cases }, row) => {
    const cells = scores.map((score) => {
      const counts = Object.entries(score[row]?.counts ?? {}).filter(([, count]) => count > 0);
      return counts.map(([verdict, count]) => `${count} ${verdict}`).join(", ");
    });
    return `| ${section} ${title} | ${cases} | ${cells.join(" | ")} |`;
  });
}

function countsOf(reasons: readonly (string | undefined)[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const reason of reasons) if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts];
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
