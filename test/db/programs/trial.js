/** What the programs share: where their server is, how it is stopped and started, and waiting until something is so. */
import { once } from "node:events";

const WAIT_MS_MAX = 20_000;

export const host = "127.0.0.1";
export const port = Number(process.env.TRIAL_PORT);
export const tlsPort = Number(process.env.TRIAL_TLS_PORT);
/** Of every server: signed by itself, for localhost and 127.0.0.1. */
export const certificate = process.env.TRIAL_CERTIFICATE ?? "";
export const key = process.env.TRIAL_KEY ?? "";
export const folder = process.env.TRIAL_FOLDER ?? "";
export const password = process.env.TRIAL_PASSWORD ?? "";

/** Text of 10 MB, and so long that no buffer on the way holds it. */
export const LARGE_BYTES = 10 * 1024 * 1024;

/** Has the server stopped (`stop`) or started (`start`). */
export async function server(request) {
  process.send(request);
  const [answer] = await once(process, "message");
  if (answer !== `${request} done`) throw new Error(`asked for ${request}, got ${answer}`);
}

/** Nothing more is asked of the process that runs the server; it would keep this one alive. */
export function endTrial() {
  process.disconnect();
}

/** Waits until `check` gives something that is true, and gives it. */
export async function until(check, what) {
  const endsAtMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > endsAtMs) throw new Error(`not so after ${WAIT_MS_MAX} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
