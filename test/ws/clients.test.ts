/** Clients that other people wrote, against WebSockets of ours: undici's, which is also the one of browsers' `WebSocket` in Node 22 and newer. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WebSocket } from "undici";
import { App } from "../../src/http/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { SocketServer } from "../support/test-server.js";

/** What the client was sent, and how it ended. */
interface Session {
  readonly messages: (string | number)[];
  readonly code: number;
  readonly wasClean: boolean;
}

/** Sends `messages` and collects the answers until the socket is closed; bytes are told by their number. */
function talk(url: string, protocol: string, messages: readonly (string | Uint8Array)[]): Promise<Session> {
  return new Promise((resolve, reject) => {
    const client = new WebSocket(url, protocol);
    client.binaryType = "arraybuffer";
    const answers: (string | number)[] = [];
    client.onopen = () => {
      assert.equal(client.protocol, protocol);
      for (const message of messages) client.send(message);
    };
    client.onmessage = ({ data }) => {
      answers.push(typeof data === "string" ? data : (data as ArrayBuffer).byteLength);
      if (answers.length === messages.length) client.close(3000, "enough");
    };
    client.onclose = ({ code, wasClean }) => resolve({ messages: answers, code, wasClean });
    client.onerror = (event) => reject(event.error ?? new Error(event.message));
  });
}

describe("clients of WebSockets", () => {
  for (const driver of driversUnderTest) {
    test(`undici's talks to a route on the ${driver.name} driver and closes cleanly`, {
      skip: driver.skip,
    }, async () => {
      const ends: [number, string][] = [];
      const app = new App();
      app.ws("/echo", {
        protocols: ["echo.example"],
        message: (ws, message) => ws.send(message),
        close: (_ws, code, reason) => void ends.push([code, reason]),
      });
      const server = await SocketServer.start(driver, app);
      const long = "läng".repeat(40_000);
      const url = `ws://127.0.0.1:${server.port}/echo`;
      const session = await talk(url, "echo.example", ["hello", new Uint8Array(500_000), long, "", "grüße"]);
      assert.deepEqual(session, { messages: ["hello", 500_000, long, "", "grüße"], code: 3000, wasClean: true });
      assert.deepEqual(ends, [[3000, "enough"]]);
      await server.settle();
      assert.equal(server.leftover(), undefined);
      await server.close();
    });
  }
});
