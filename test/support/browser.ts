/** A headless Chromium that tests drive by the DevTools protocol. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { type MessageEvent, WebSocket } from "undici";
import { findProgram } from "./serve-process.js";

const DEADLINE_MS = 60_000;
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-port=0",
];

/** Where Chromium is, if it is installed. */
export const chromium = findProgram("chromium", "chromium-browser", "google-chrome");

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly method?: string;
  readonly params?: {
    readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } };
  };
}

/** One page. */
export class Page {
  readonly #browser: Browser;
  readonly #session: string;

  constructor(browser: Browser, session: string) {
    this.#browser = browser;
    this.#session = session;
  }

  /** Runs an expression in the page; its value has JSON. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const answer = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    const { result, exceptionDetails } = answer as {
      result: { value: Value };
      exceptionDetails?: { text: string; exception?: { description?: string } };
    };
    if (exceptionDetails !== undefined)
      throw new Error(`In the page: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Asks until the expression is true. */
  async until(expression: string): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS;
    while (performance.now() < endMs) {
      if (await this.evaluate<boolean>(`Boolean(${expression})`).catch(() => false)) return;
      await pause(50);
    }
    const text = await this.evaluate<string>("document.body.innerText");
    throw new Error(
      `Waited in vain for ${expression}; errors: ${this.#browser.errors.join("; ")}; the page says: ${text}`,
    );
  }

  async goTo(url: string): Promise<void> {
    await this.call("Page.navigate", { url });
    await this.until(`location.href === ${JSON.stringify(url)} && document.readyState === "complete"`);
  }

  /** Presses and releases the mouse in the middle of an element. */
  async click(selector: string): Promise<void> {
    const { x, y } = await this.evaluate<{ x: number; y: number }>(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      found.scrollIntoView({ block: "center" });
      const { left, top, width, height } = found.getBoundingClientRect();
      return { x: left + width / 2, y: top + height / 2 };
    })()`);
    for (const type of ["mousePressed", "mouseReleased"])
      await this.call("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
  }

  /** Types into an element, in place of what is there. */
  async type(selector: string, text: string): Promise<void> {
    await this.evaluate(
      `(() => { const found = document.querySelector(${JSON.stringify(selector)}); found.focus(); found.select(); })()`,
    );
    await this.call("Input.insertText", { text });
  }

  async resize(width: number, height: number): Promise<void> {
    await this.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  }

  /** A PNG of what is to be seen. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }

  call(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    return this.#browser.call(method, params, this.#session);
  }
}

/** See the top of the file. */
export class Browser {
  /** What pages did not catch. */
  readonly errors: string[] = [];
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #calls = new Map<number, (answer: Answer) => void>();
  #lastCall = 0;

  private constructor(child: ChildProcess, profile: string, socket: WebSocket) {
    this.#child = child;
    this.#profile = profile;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }: MessageEvent) => this.#heard(JSON.parse(String(data)) as Answer));
  }

  /** Starts one, with a profile of its own. */
  static async start(): Promise<Browser> {
    const profile = await mkdtemp(join(tmpdir(), "ringloom-chromium-"));
    const child = spawn(chromium ?? "", [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const url = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        const [, found] = /^DevTools listening on (ws:\/\/\S+)/.exec(line) ?? [];
        if (found !== undefined) resolve(found);
      });
      child.once("exit", (code) => reject(new Error(`Chromium exited with ${String(code)}`)));
      child.once("error", reject);
    });
    const socket = new WebSocket(url);
    const browser = new Browser(child, profile, socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("Chromium does not let us in")));
    });
    return browser;
  }

  async open(): Promise<Page> {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, String(sessionId));
    await page.call("Page.enable");
    await page.call("Runtime.enable");
    return page;
  }

  call(method: string, params: Record<string, unknown>, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Chromium does not answer ${method}`)), DEADLINE_MS);
      this.#calls.set(id, ({ result, error }) => {
        clearTimeout(timer);
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    });
  }

  async close(): Promise<void> {
    const exited = once(this.#child, "exit");
    await this.call("Browser.close", {}).catch(() => this.#child.kill("SIGKILL"));
    const guard = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(guard);
    this.#socket.close();
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #heard(answer: Answer): void {
    if (answer.method === "Runtime.exceptionThrown") {
      const details = answer.params?.exceptionDetails;
      this.errors.push(details?.exception?.description ?? details?.text ?? "unknown");
    }
    if (answer.id === undefined) return;
    this.#calls.get(answer.id)?.(answer);
    this.#calls.delete(answer.id);
  }
}
