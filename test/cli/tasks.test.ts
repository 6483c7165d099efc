import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DevFolder } from "../support/dev-folder.js";
import { driversUnderTest } from "../support/drivers.js";
import { DEMO, fixture, Ringloom, run, withServe } from "./ringloom.js";

const APP = fixture("tasks-app.js");

async function get(url: string): Promise<string> {
  const response = await fetch(url, { headers: { connection: "close" } });
  return await response.text();
}

for (const { name: driver, skip } of driversUnderTest) {
  describe(`tasks of a server on the ${driver} driver`, { skip }, () => {
    const ARGS = [APP, "--port", "0", "--driver", driver, "--shards", "1"];

    test("run on a compute thread, and the shard goes on answering meanwhile", async () => {
      await withServe([...ARGS, "--compute", "1"], {}, async (_server, url) => {
        assert.equal(await get(`${url}/add/1/2`), "3");
        const blocked = fetch(`${url}/block`).catch(() => "cut");
        const answers = await Promise.all(Array.from({ length: 50 }, () => get(`${url}/plain`)));
        assert.ok(answers.every((text) => text === "plain"));
        void blocked;
      });
    });

    test("run on an extra thread when they block", async () => {
      await withServe([...ARGS, "--compute", "1", "--blocking", "1"], {}, async (_server, url) => {
        assert.equal(await get(`${url}/blocking/20`), '{"isExtra":true}');
      });
    });

    test("are handed large values and shared memory, before a thread has started, after it ended and by the shard's next thread", async () => {
      await withServe([...ARGS, "--compute", "1"], {}, async (server, url) => {
        assert.equal(await get(`${url}/ported/3000000`), "[0,3000000,7,9]");
        assert.equal(await get(`${url}/exit`), "ERR_RINGLOOM_THREAD_LOST");
        assert.equal(await get(`${url}/ported/3000000`), "[0,3000000,7,9]");
        server.child.kill("SIGHUP");
        await server.said(/^restarted/m);
        assert.equal(await get(`${url}/ported/3000000`), "[0,3000000,7,9]");
      });
    });

    test("may be spawned while the module loads", async () => {
      await withServe(ARGS, { environment: { TASKS_AT_LOAD: "1" } }, async (_server, url) => {
        assert.equal(await get(`${url}/loaded`), '{"loaded":42}');
      });
    });

    test("reject when their thread ends, and the next one serves", async () => {
      await withServe([...ARGS, "--compute", "1"], {}, async (_server, url) => {
        assert.equal(await get(`${url}/exit`), "ERR_RINGLOOM_THREAD_LOST");
        assert.equal(await get(`${url}/add/2/2`), "4");
        assert.equal(await get(`${url}/plain`), "plain");
      });
    });

    test("are finished by a shard that drains", async () => {
      const server = new Ringloom(["serve", ...ARGS]);
      const url = await server.listening();
      assert.equal(await get(`${url}/add/1/1`), "2");
      const late = get(`${url}/later/400`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(await server.stop(), 0);
      assert.equal(await late, "late");
    });

    test("are seen done by a hook that runs after the drain", async () => {
      const server = new Ringloom(["serve", ...ARGS], { environment: { TASKS_AT_CLOSE: "1" } });
      const url = await server.listening();
      assert.equal(await get(`${url}/add/1/1`), "2");
      assert.equal(await server.stop(), 0);
      await server.said(/closed with a task/);
    });

    test("go on in the thread that takes over in a rolling restart", async () => {
      await withServe(ARGS, {}, async (server, url) => {
        assert.equal(await get(`${url}/add/1/1`), "2");
        for (let round = 1; round <= 4; round++) {
          server.child.kill("SIGHUP");
          await server.said(new RegExp(`(?:^restarted[\\s\\S]*?){${round}}`, "m"));
          assert.equal(await get(`${url}/add/${round}/1`), String(round + 1));
        }
      });
    });

    test("are refused with --compute 0", async () => {
      await withServe([...ARGS, "--compute", "0"], {}, async (server, url) => {
        const response = await fetch(`${url}/add/1/2`);
        assert.equal(response.status, 500);
        await response.body?.cancel();
        await server.complained(/ERR_RINGLOOM_WRONG_THREAD|--compute/);
      });
    });
  });
}

test("the demo's /work burns CPU in a task and refuses what is no number", async () => {
  await withServe([DEMO, "--port", "0", "--shards", "1"], {}, async (_server, url) => {
    const { ms } = JSON.parse(await get(`${url}/work?ms=5`)) as { ms: number };
    assert.ok(ms >= 5);
    const refused = await fetch(`${url}/work?ms=many`);
    assert.equal(refused.status, 400);
    await refused.body?.cancel();
  });
});

test("ringloom dev runs tasks, and loads their module again when the shard is replaced", async () => {
  const folder = new DevFolder({
    "work.js": 'export const word = () => "one";\n',
    "app.js": `import { tasks } from "ringloom";
import { App } from "ringloom/http";
const work = tasks(new URL("./work.js", import.meta.url));
const app = new App();
app.get("/", async (c) => c.text(await work.word()));
export default app;
`,
  });
  const ringloom = new Ringloom(["dev", folder.file("app.js"), "--port", "0"]);
  try {
    const url = await ringloom.listening();
    assert.equal(await get(url), "one");
    await ringloom.said(/^ready/m);
    folder.write("work.js", 'export const word = () => "two";\n');
    await ringloom.said(/(?:^ready[\s\S]*?){2}/m);
    assert.equal(await get(url), "two");
  } finally {
    ringloom.child.kill("SIGKILL");
    await ringloom.ended();
    folder.remove();
  }
});

test("ringloom serve refuses a number of compute threads that cannot be", async () => {
  const { code, stderr } = await run(["serve", APP, "--compute", "33"]);
  assert.equal(code, 2);
  assert.match(stderr, /--compute/);
});
