/** The access log of Node's servers: the lines of Ringloom's own. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { AccessLog } from "../../src/observe/access-log.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { eventually, NodeRig } from "./rig.js";

type Line = Readonly<Record<string, unknown>>;

for (const under of driversUnderTest) {
  describe(`access log of NodeServer on the ${under.name} driver`, { skip: under.skip }, () => {
    test("has a line for each request: pipelined, rewritten, broken off", async () => {
      const lines: Line[] = [];
      const accessLog = new AccessLog("json", 0, (text) => {
        for (const line of text.trimEnd().split("\n")) lines.push(JSON.parse(line));
      });
      const server = createServer((incoming, response) => {
        const { url } = incoming;
        incoming.url = "/rewritten";
        if (url === "/hangs") return;
        if (url === "/large") response.end(Buffer.alloc(32 * 1024 * 1024));
        else if (url === "/late") setImmediate(() => response.writeHead(404).end("late"));
        else response.end("x".repeat(1_000));
      });
      const rig = await NodeRig.startServer(under, server, { accessLog });
      const peer = await Peer.open(rig.port);
      peer.send("POST /late HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
      peer.send("GET http://x/a?secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      await peer.ended();
      await eventually("two lines", () => lines.length === 2);
      const bytes = lines.map((line) => Number(line.bytes));
      assert.deepEqual(
        lines.map(({ msg, method, path, status, aborted }) => [msg, method, path, status, aborted]),
        [
          ["request", "POST", "/late", 404, undefined],
          ["request", "GET", "/a", 200, undefined],
        ],
      );
      assert.equal((bytes[0] ?? 0) + (bytes[1] ?? 0), peer.receivedBytes);
      assert.ok((bytes[0] ?? 0) < 1_000 && (bytes[1] ?? 0) > 1_000, `${bytes}`);
      assert.ok(lines.every(({ durationMs }) => Number(durationMs) >= 0));
      for (const path of ["/hangs", "/large"]) {
        const gone = await Peer.open(rig.port);
        gone.socket.pause();
        const before = rig.node.stats.requests;
        gone.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
        await eventually("the request", () => rig.node.stats.requests > before);
        gone.socket.resetAndDestroy();
      }
      await eventually("four lines", () => lines.length === 4);
      const broken = lines.slice(2).map(({ path, status, aborted }) => `${path} ${status} ${aborted}`);
      assert.deepEqual(broken.sort(), ["/hangs 0 true", "/large 200 true"]);
      peer.socket.destroy();
      await rig.close();
    });
  });
}
