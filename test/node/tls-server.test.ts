/** Servers of node:https on every driver: counted, drained and timed like those of node:http. */
import assert from "node:assert/strict";
import { createServer, request } from "node:https";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { CERTIFICATE, CERTIFICATE_KEY } from "../support/certificate.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { within } from "../support/signal.js";
import { Diary, eventually, NodeRig } from "./rig.js";

const GET = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async function secure(port: number): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ca: CERTIFICATE });
  await within("the handshake", new Promise((resolve) => socket.once("secureConnect", resolve)));
  return socket;
}

function ended(socket: TLSSocket): Promise<string> {
  return within("the end", text(socket));
}

for (const under of driversUnderTest) {
  describe(`NodeServer with TLS on the ${under.name} driver`, { skip: under.skip }, () => {
    test("answers, counts, and drains: finishes what was begun, says that it closes, closes who is idle", async () => {
      const diary = new Diary();
      let finish: (() => void) | undefined;
      const server = createServer({ key: CERTIFICATE_KEY, cert: CERTIFICATE }, (incoming, response) => {
        if (incoming.url === "/wait") finish = () => response.end("waited");
        else response.end("ok");
        diary.note(incoming.url ?? "");
      });
      const rig = await NodeRig.startServer(under, server);
      const answer = await new Promise<string>((resolve) => {
        request({ port: rig.port, host: "127.0.0.1", ca: CERTIFICATE, agent: false }, (response) =>
          resolve(text(response)),
        ).end();
      });
      assert.equal(answer, "ok");
      const [idle, busy, silent] = await Promise.all([secure(rig.port), secure(rig.port), secure(rig.port)]);
      const raw = await Peer.open(rig.port);
      idle.write(GET);
      busy.write(GET.replace("/ ", "/wait "));
      await diary.until("/wait");
      await diary.until("/", 2);
      assert.equal(rig.node.stats.requests, 3);
      const ends = Promise.all([idle, busy, silent].map(ended));
      const drained = rig.node.drain({ graceMs: 100 });
      await raw.ended();
      finish?.();
      const report = await within("the drain", drained);
      assert.deepEqual([report.requestsFinished, report.connectionsClosedIdle, report.connectionsForced], [1, 3, 0]);
      const [first, second, third] = await ends;
      assert.match(first ?? "", /\r\n\r\nok$|ok\r\n0\r\n\r\n$/);
      assert.match(second ?? "", /connection: close\r\n[\s\S]*waited/i);
      assert.equal(third, "");
      raw.socket.destroy();
      await rig.close();
    });

    test("cuts a peer that takes nothing", async () => {
      const server = createServer({ key: CERTIFICATE_KEY, cert: CERTIFICATE }, (_incoming, response) =>
        response.end(Buffer.alloc(32 * 1024 * 1024)),
      );
      const rig = await NodeRig.startServer(under, server, { writeTimeoutMs: 500 });
      const socket = await secure(rig.port);
      socket.on("error", () => undefined);
      socket.pause();
      socket.write(GET);
      await eventually("the cut", () => rig.node.stats.writeTimeouts === 1);
      await eventually("the end of the connection", () => rig.node.stats.connectionsNow === 0);
      socket.destroy();
      await rig.close();
    });
  });
}
