/** The load generator must not believe a server: each way of answering wrongly has to be seen. */
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { GaveUpError, runPacedLoad } from "./load.js";
import { prepare, programPath } from "./prepare.js";
import { type RunningServer, run } from "./processes.js";

const GOOD = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Filler: yes\r\n\r\nhello ada";

/** Answers, by path, to each request that a connection sends. */
const answers: Readonly<Record<string, (socket: Socket, count: number) => void>> = {
  "/good": (socket, count) => socket.write(GOOD.repeat(count)),
  "/bytewise": (socket, count) => {
    for (const byte of Buffer.from(GOOD.repeat(count))) socket.write(Buffer.of(byte));
  },
  "/lower-case": (socket, count) => socket.write("HTTP/1.1 200 OK\r\ncontent-length:9\r\n\r\nhello ada".repeat(count)),
  "/status": (socket, count) => socket.write(GOOD.replace("200", "503").repeat(count)),
  "/length": (socket, count) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops".repeat(count)),
  "/body": (socket, count) => socket.write(GOOD.replace("ada", "bob").repeat(count)),
  "/no-length": (socket, count) => socket.write("HTTP/1.1 200 OK\r\n\r\n".repeat(count)),
  "/two-lengths": (socket, count) => socket.write(GOOD.replace("X-Filler: yes", "Content-Length: 9").repeat(count)),
  "/heavy": (socket, count) => socket.write(GOOD.replace("hello ada", "heavy ada").repeat(count)),
  "/silent": () => {},
  "/too-many": (socket, count) => socket.write(GOOD.repeat(count + 1)),
  "/close": (socket) => socket.end(),
  "/garbage": (socket) => socket.write("220 smtp.example.com ESMTP\r\n\r\n"),
};

interface Output {
  requests: number;
  errors: number;
  badStatus: number;
  badLength: number;
  badBody: number;
  totalRequests: number;
}

interface PacedOutput {
  requests: number;
  due: number;
  failed: number;
  secondDue: number;
  secondFailed: number;
}

const unmet = await prepare("load-generator");

describe("http-load", { skip: unmet ?? false }, () => {
  let server: Server;
  let port = 0;

  before(async () => {
    server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.on("data", (chunk) => {
        const text = chunk.toString("latin1");
        const path = /^GET (\S+) /.exec(text)?.[1] ?? "";
        answers[path]?.(socket, text.split("\r\n\r\n").length - 1);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    port = address.port;
  });

  after(() => {
    server.close();
  });

  /** Asks for 40 responses, four at a time on two connections. */
  async function load(path: string): Promise<{ output: Output | undefined; stderr: string; code: number | null }> {
    const fixed = [programPath("http-load"), "127.0.0.1", String(port), "2", "4", "5", path];
    const command = [...fixed, "--requests", "40", "--expect-body", "hello ada"];
    const { stdout, stderr, code } = await run(command, { timeoutMs: 20_000 });
    if (code === 3) assert.fail(`io_uring was there to build for, but not to run: ${stderr}`);
    return { output: stdout === "" ? undefined : (JSON.parse(stdout) as Output), stderr, code };
  }

  for (const path of ["/good", "/bytewise", "/lower-case"]) {
    it(`accepts right answers (${path})`, async () => {
      const { output, stderr, code } = await load(path);
      assert.equal(code, 0, stderr);
      assert.ok(output !== undefined);
      const { requests, errors, badStatus, badLength, badBody } = output;
      assert.deepEqual(
        { requests, errors, badStatus, badLength, badBody },
        { requests: 40, errors: 0, badStatus: 0, badLength: 0, badBody: 0 },
      );
    });
  }

  for (const [path, counter] of [
    ["/status", "badStatus"],
    ["/length", "badLength"],
    ["/body", "badBody"],
  ] as const) {
    it(`counts each wrong answer when the server says ${path}`, async () => {
      const { output } = await load(path);
      assert.ok(output !== undefined);
      assert.equal(output[counter], output.totalRequests);
      assert.equal(output.totalRequests, 40);
    });
  }

  for (const path of ["/no-length", "/two-lengths", "/close", "/garbage"]) {
    it(`gives up on a server that only breaks connections (${path})`, async () => {
      const { output, stderr, code } = await load(path);
      assert.equal(code, 1);
      assert.equal(output, undefined);
      assert.match(stderr, /gave up after \d+ failures/);
    });
  }

  /** 200 requests in 0.2 seconds at a constant rate, of which one in ten is of a second kind. */
  async function paced(path: string, second: string): Promise<PacedOutput> {
    const fixed = [programPath("http-load"), "127.0.0.1", String(port), "8", "1", "0.2", path];
    const command = [...fixed, "--rate", "1000", "--drain", "10", "--expect-body", "hello ada", "--second", second];
    const { stdout, stderr, code } = await run(command, { timeoutMs: 20_000 });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as PacedOutput;
  }

  it("--second asks for one in N, and accepts right answers to both", async () => {
    const { due, failed, secondDue, secondFailed } = await paced("/good", "10 /heavy heavy ada");
    assert.deepEqual({ due, failed, secondDue, secondFailed }, { due: 180, failed: 0, secondDue: 20, secondFailed: 0 });
  });

  it("--second counts its wrong answers apart", async () => {
    const { failed, secondFailed } = await paced("/good", "10 /heavy hello bob");
    assert.deepEqual({ failed, secondFailed }, { failed: 0, secondFailed: 20 });
  });

  it("--rate counts what is never answered as failed, and also what could not even be sent", async () => {
    const fixed = [programPath("http-load"), "127.0.0.1", String(port), "2", "1", "0.2", "/silent"];
    const { stdout, stderr } = await run([...fixed, "--rate", "100", "--drain", "0.1"], { timeoutMs: 20_000 });
    const output = JSON.parse(stdout) as PacedOutput;
    assert.equal(output.due, 20, stderr);
    assert.equal(output.failed, 20);
    assert.equal(output.requests, 20, "each has a latency, at least its age");
  });

  for (const path of ["/close", "/status"]) {
    it(`runPacedLoad() rejects with GaveUpError when little but failures come (${path})`, async () => {
      const running = { host: "127.0.0.1", port } as RunningServer;
      const second = { every: 10, path: "/good", expectBody: "hello ada" };
      const times = { warmupSeconds: 0, seconds: 5, drainSeconds: 0 };
      const load = { connections: 8, path, expectBody: "hello ada", second, rate: 5_000, ...times };
      await assert.rejects(runPacedLoad(running, load, undefined), GaveUpError);
    });
  }

  it("sees a response that nobody asked for", async () => {
    const { output, stderr } = await load("/too-many");
    assert.match(stderr, /a response without a request|gave up/);
    assert.ok(output === undefined || output.errors > 0);
  });
});
