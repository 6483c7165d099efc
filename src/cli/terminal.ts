/** What goes to the terminal: colours where they are wanted, aligned tables, and whole lines. */

/** Where output goes and whether colours are wanted there. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  readonly colors: boolean;
}

/** The process's own streams. Colours only on a terminal, and never with NO_COLOR (no-color.org) or TERM=dumb. */
export function systemTerminal(environment: NodeJS.ProcessEnv = process.env): Terminal {
  const refused = (environment.NO_COLOR ?? "") !== "" || environment.TERM === "dumb";
  // Whoever read our output may go ("ringloom serve … | head"), and so may the terminal; the server must not die of that.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    });
  }
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    error: (text) => void process.stderr.write(`${text}\n`),
    colors: process.stdout.isTTY === true && !refused,
  };
}

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** `text` in a style, or as it is where colours are not wanted. */
export function paint(terminal: Terminal, style: keyof typeof CODES, text: string): string {
  const [on, off] = CODES[style];
  return terminal.colors ? `\u001b[${on}m${text}\u001b[${off}m` : text;
}

/** Rows of a name and a text, the texts starting in one column, as lines. */
export function table(
  terminal: Terminal,
  rows: readonly (readonly [name: string, text: string])[],
  indent = "  ",
): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${indent}${paint(terminal, "dim", name.padEnd(width))}  ${text}`);
}

/** Bytes for people, in binary units: `1.5 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `1 shard`, `2 shards`. */
export function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
