/** The watchdog on real shards. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { LoopStats } from "../../src/index.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { withServe } from "../cli/ringloom.js";
import { driversUnderTest } from "../support/drivers.js";

const BLOCKING = fileURLToPath(new URL("./fixtures/blocking.js", import.meta.url));
const shards = portSharing().isPossible ? "2" : "1";

for (const { name: driver, skip } of driversUnderTest) {
  describe(`the watchdog on the ${driver} driver`, { skip }, () => {
    const ARGS = [BLOCKING, "--port", "0", "--driver", driver, "--shards", shards, "--log", "json"];

    // On a machine that is short of CPU time a loop can stand still at other moments too; what counts is that ours is found.
    for (const [path, answer, frame] of [
      [
        "burn",
        "burnt",
        /"stack":"at burnFor \(file:[^"]*blocking\.ts:\d+:\d+\)\\nat file:[^"]*blocking\.ts:\d+:\d+\\n/,
      ],
      ["wait", "waited", /"stack":"at file:[^"]*blocking\.ts:\d+:\d+\\n/],
    ] as const) {
      test(`a shard that is blocked in /${path} is reported with its stack, in the places of the source, and serves on`, async () => {
        await withServe([...ARGS, "--watchdog-ms", "200"], {}, async (server) => {
          const [, url] = await server.said(/"url":"([^"]+)"/);
          const pattern = new RegExp(`^.*"event":"blocked".*${frame.source}.*$`, "m");
          // A supervisor that got no CPU time itself says nothing, rightly; then the shard blocks again.
          for (let attempt = 0; attempt < 20 && !pattern.test(server.stdout); attempt++) {
            assert.equal(await (await fetch(`${url}/${path}`)).text(), answer);
          }
          const [line] = await server.said(pattern);
          const record: Record<string, unknown> = JSON.parse(line);
          assert.equal(record.level, "warn");
          assert.ok(Number(record.blockedMs) >= 200);
          await server.said(/"event":"unblocked"/);
          const deadline = Date.now() + 30_000;
          let blocked: LoopStats | undefined;
          do {
            const loops: LoopStats[] = JSON.parse(await (await fetch(`${url}/loop`)).text());
            blocked = loops[Number(record.blockedShard)];
          } while ((blocked?.blockedMsMax ?? 0) < 800 && Date.now() < deadline);
          assert.ok((blocked?.blockedCount ?? 0) >= 1, JSON.stringify(blocked));
          assert.ok((blocked?.blockedMsMax ?? 0) >= 800, JSON.stringify(blocked));
          assert.ok((blocked?.lagMsMax ?? 0) >= 800, JSON.stringify(blocked));
          assert.equal(await server.stop(), 0);
        });
      });
    }

    test("a shard that ends while it is reported takes nothing with it but itself", async () => {
      await withServe([...ARGS, "--watchdog-ms", "200"], {}, async (server) => {
        const [, url] = await server.said(/"url":"([^"]+)"/);
        await fetch(`${url}/burn-and-exit`).catch(() => undefined);
        await server.said(/"event":"blocked"/);
        await server.said(/"event":"(shard-lost|stopped)"/);
        const code = await server.stop();
        assert.ok(typeof code === "number", `ended by ${code}`);
      });
    });

    test("nothing is reported when the watchdog is off, and an idle shard's utilisation is near zero", async () => {
      await withServe([...ARGS, "--watchdog-ms", "0"], {}, async (server) => {
        const [, url] = await server.said(/"url":"([^"]+)"/);
        assert.equal(await (await fetch(`${url}/burn`)).text(), "burnt");
        const deadline = Date.now() + 30_000;
        let loops: LoopStats[];
        do {
          await new Promise((resolve) => setTimeout(resolve, 500));
          loops = JSON.parse(await (await fetch(`${url}/loop`)).text());
        } while (!loops.every((loop) => loop.utilization1s < 0.5) && Date.now() < deadline);
        assert.ok(
          loops.every((loop) => loop.utilization1s < 0.5),
          JSON.stringify(loops),
        );
        assert.ok(
          loops.some((loop) => loop.utilization10s > 0.05),
          JSON.stringify(loops),
        );
        assert.equal(await server.stop(), 0);
        assert.ok(!server.stdout.includes('"event":"blocked"'));
      });
    });
  });
}
