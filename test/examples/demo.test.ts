/** The pages of the demo in Chromium: each is opened, clicked and looked at. `RINGLOOM_SCREENSHOTS` names a folder that keeps what was seen. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Browser, chromium, type Page } from "../support/browser.js";
import { type ServeProcess, startServe } from "../support/serve-process.js";

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** An empty page of that size has less. */
const PNG_BYTES_MIN = 5_000;

describe("the demo's pages", { skip: chromium === undefined ? "Chromium is not installed" : false }, () => {
  let server: ServeProcess;
  let browser: Browser;
  before(async () => {
    server = await startServe("examples/demo/app.js", ["--shards", "2"]);
    browser = await Browser.start();
  });
  after(async () => {
    await browser.close();
    assert.equal(await server.stop(), 0);
  });

  async function open(path: string): Promise<Page> {
    const page = await browser.open();
    await page.resize(1_100, 760);
    await page.goTo(`${server.url}${path}`);
    return page;
  }

  async function look(page: Page, name: string): Promise<void> {
    const png = await page.screenshot();
    assert.ok(
      png.subarray(0, 8).equals(PNG_SIGNATURE) && png.length > PNG_BYTES_MIN,
      `${name} has ${png.length} bytes`,
    );
    const folder = process.env.RINGLOOM_SCREENSHOTS;
    if (folder !== undefined) await writeFile(join(folder, `${name}.png`), png);
  }

  test("the landing page shows what the shards do, and echoes", async () => {
    const page = await open("/");
    await page.until(`document.querySelectorAll("#shards tr").length === 2`);
    await page.type("#echo-text", "ahoy");
    await page.click("#echo button");
    await page.until(`document.querySelector("#echoed").textContent.startsWith("“ahoy” came back")`);
    await look(page, "landing");
    assert.deepEqual(browser.errors, []);
  });

  test("two people chat, and who comes later sees what was said", async () => {
    const [ada, bo] = [await open("/chat"), await open("/chat")];
    for (const [page, name] of [
      [ada, "Ada"],
      [bo, "Bo"],
    ] as const) {
      await page.type("#name", name);
      await page.click("#enter button");
      await page.until(`document.querySelector("#presence").textContent.includes("shard")`);
    }
    await ada.until(`document.querySelector("#presence").textContent.startsWith("2 online")`);
    for (const [page, text] of [
      [ada, "Hello, <b>Bo</b>!"],
      [bo, "Hi! Which shard are you on?"],
      [ada, "Whichever the kernel chose."],
    ] as const) {
      await page.until(`!document.querySelector("#say button").disabled`);
      await page.type("#text", text);
      await page.click("#say button");
      for (const one of [ada, bo])
        await one.until(`document.querySelector("#messages").innerText.includes(${JSON.stringify(text)})`);
    }
    assert.equal(await bo.evaluate(`document.querySelectorAll("#messages li.mine").length`), 1);
    const late = await open("/chat");
    await late.type("#name", "Cy");
    await late.click("#enter button");
    await late.until(`document.querySelectorAll("#messages li:not(.note)").length === 3`);
    await look(late, "chat");
    await late.resize(390, 760);
    await look(late, "chat-phone");
    assert.deepEqual(browser.errors, []);
  });

  test("a round of the auto-battle is played, watched, and goes on after the line was cut", async () => {
    const player = await open("/room?room=test");
    await player.type("#name", "Ada");
    await player.click("#play");
    await player.until(`document.querySelector('[data-kind="guard"]')?.disabled === false`);
    for (const kind of ["guard", "archer", "blade"]) await player.click(`[data-kind="${kind}"]`);
    await player.until(`document.querySelector("#people .squad").textContent === "1 guard, 1 archer, 1 blade"`);
    assert.equal(
      await player.evaluate(`document.querySelector('[data-kind="blade"]').disabled`),
      true,
      "no gold is left",
    );
    const watcher = await open("/room?room=test");
    await watcher.type("#name", "Bo");
    await watcher.click("#watch");
    await watcher.until(`document.querySelector("#count").textContent.includes("1 watching")`);
    await look(player, "room-recruit");
    await player.click("#cut");
    await player.until(`document.querySelector("#log").textContent.includes("Nothing was missed")`);
    await player.click("#ready");
    await watcher.until(
      `document.querySelector("#round").textContent === "Round 1" && window.room.scene.phase === "fight"`,
    );
    await player.until(`document.querySelector("#log").textContent.includes("fells")`);
    await look(player, "room-fight");
    await watcher.resize(390, 800);
    await look(watcher, "room-phone");
    for (const page of [player, watcher])
      await page.until(`/wins round 1/.test(document.querySelector("#log").textContent)`);
    // The same events, the same number.
    const seen = `document.querySelector("#ledger").textContent`;
    await watcher.until(`${seen} === ${JSON.stringify(await player.evaluate(seen))}`);
    assert.deepEqual(browser.errors, []);
  });
});
