/** The C responder is what others are compared with, so it must answer every request exactly once, however it arrives. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { prepare, programPath } from "./prepare.js";
import { type RunningServer, ServerStartError, startServer } from "./processes.js";

const REQUEST = "GET /hello/ada HTTP/1.1\r\nHost: example.com\r\nX: a\r\r\n\n b\r\n\r\n";
const COUNT = 5;

const unmet = (await prepare("responder")) ?? (await unavailable());

/** A kernel or container without io_uring, in its own words. */
async function unavailable(): Promise<string | undefined> {
  try {
    const server = await startServer([programPath("http-responder")], { timeoutMs: 10_000 });
    await server.stop();
    return undefined;
  } catch (error) {
    if (error instanceof ServerStartError && error.exitCode === 3) return error.message;
    throw error;
  }
}

describe("http-responder", { skip: unmet ?? false }, () => {
  let server: RunningServer;

  before(async () => {
    server = await startServer([programPath("http-responder"), "--body", "hello ada"], { timeoutMs: 10_000 });
  });

  after(() => server.stop());

  /** Sends the text in pieces, half-closes, and returns everything that comes back. */
  function exchange(text: string, pieceBytes: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: server.host, port: server.port, noDelay: true });
      let received = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => {
        received += chunk;
      });
      socket.once("error", reject);
      socket.once("end", () => resolve(received));
      const sendFrom = (at: number): void => {
        if (at >= text.length) socket.end();
        else socket.write(text.slice(at, at + pieceBytes), () => sendFrom(at + pieceBytes));
      };
      socket.once("connect", () => sendFrom(0));
    });
  }

  for (const pieceBytes of [1, 2, 3, 7, 61, 63, 64, 65, 127, 4_096]) {
    it(`answers ${COUNT} pipelined requests when they come ${pieceBytes} bytes at a time`, async () => {
      const received = await exchange(REQUEST.repeat(COUNT), pieceBytes);
      assert.equal(received.split("HTTP/1.1 200 OK\r\n").length - 1, COUNT);
      assert.equal(received.split("\r\n\r\nhello ada").length - 1, COUNT);
    });
  }

  it("does not answer a request that is not complete", async () => {
    assert.equal(await exchange(REQUEST.slice(0, -1), 4_096), "");
  });
});
