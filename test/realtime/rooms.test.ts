/** Rooms over real connections and shards: order, lost connections, sessions, limits, deaths. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { serveModule } from "../../src/http/serve-module.js";
import { until } from "../net/net-rig.js";
import { driversUnderTest } from "../support/drivers.js";
import { RawClient } from "../ws/raw-client.js";
import { type Guest, RoomsRig, SHARDS, withRooms } from "./rooms-rig.js";

const OTHER = SHARDS - 1;

for (const { name: driver, skip } of driversUnderTest) {
  describe(`rooms on the ${driver} driver`, { skip }, () => {
    let rig: RoomsRig;
    before(async () => {
      const sizes = { connections: 512, receiveSlabMib: 2, writePoolMib: 16, drainMs: 2_000 };
      const module = new URL("./fixtures/rooms-app.js", import.meta.url);
      rig = new RoomsRig(await serveModule(module, { driver, port: 0, shards: SHARDS, ...sizes }));
    });
    after(async () => {
      rig.closeGuests();
      await rig.server.stop();
    });

    test("members on all shards hear the same, each message once, in the order of each sender", async () => {
      const guests = [await rig.guestOn(0, "/hall/order", "a"), await rig.guestOn(OTHER, "/hall/order", "b")];
      const count = 60;
      for (const guest of guests)
        for (let number = 0; number < count; number++)
          guest.order(number % 9 === 0 ? "later" : "say", { text: `${guest.name} ${number}` });
      for (const guest of guests) await guest.until("all", () => guest.texts.length === 2 * count);
      assert.deepEqual(guests[0]?.texts, guests[1]?.texts);
      for (const { name, client } of guests) {
        const mine = guests[0]?.texts.filter((text) => text.startsWith(`${name} `));
        assert.deepEqual(
          mine,
          Array.from({ length: count }, (_, number) => `${name} ${number}`),
        );
        // The acknowledgement comes behind the events.
        await until("what was sent to be acknowledged", () => client.waitingCount === 0);
      }
    });

    test("events for one member, and for all but one", async () => {
      const one = await rig.guestOn(0, "/hall/some", "one");
      const two = await rig.guestOn(OTHER, "/hall/some", "two");
      one.order("self", { text: "secret" });
      one.order("others", { text: "for the others" });
      one.order("say", { text: "end" });
      for (const guest of [one, two]) await guest.until("the end", () => guest.texts.includes("end"));
      assert.deepEqual(two.texts, ["for the others", "end"]);
      assert.deepEqual(one.texts, ["end"]);
      assert.equal(one.events.filter((event) => event.only === "secret").length, 1);
      assert.equal(two.events.filter((event) => "only" in event).length, 0);
    });

    test("a client whose connection is cut again and again misses nothing and is not heard twice", async () => {
      const steady = await rig.guestOn(0, "/hall/cuts", "steady");
      const shaky = await rig.guestOn(OTHER, "/hall/cuts", "shaky");
      const count = 80;
      for (let number = 0; number < count; number++) {
        steady.order("say", { text: `steady ${number}` });
        shaky.order("say", { text: `shaky ${number}` });
        if (number % 10 === 5) shaky.client.reconnect();
        if (number % 4 === 0) await pause(1);
      }
      for (const guest of [steady, shaky]) await guest.until("all", () => guest.texts.length >= 2 * count);
      assert.deepEqual(shaky.texts, steady.texts);
      assert.equal(new Set(shaky.texts).size, 2 * count);
      const mine = steady.texts.filter((text) => text.startsWith("shaky"));
      assert.deepEqual(
        mine,
        Array.from({ length: count }, (_, number) => `shaky ${number}`),
      );
      assert.ok(shaky.welcomes.length > 1);
      assert.ok(shaky.welcomes.slice(1).every(({ isResumed }) => isResumed));
    });

    test("a message that comes again is acknowledged and not handled, and one that is missing ends the session", async () => {
      const raw = await RawClient.open(rig.server.port, "/hall/raw?name=raw");
      raw.send(text('["hello",null,0]'));
      await raw.received(2);
      const said = '["say",1,{"do":"say","text":"once"}]';
      raw.send(text(said), text(said), text('["say",3,{"do":"say","text":"too far"}]'));
      assert.equal(await raw.closeCode(), 4002);
      assert.equal(raw.texts.filter((one) => one.includes('"once"')).length, 1);
      assert.deepEqual(
        raw.texts.filter((one) => one.startsWith('["handled"')),
        ['["handled",1]', '["handled",1]'],
      );
      assert.equal(
        raw.texts.some((one) => one.includes("too far")),
        false,
      );
      raw.end();
    });

    test("whoever has a session's secret takes it over, and the connection before it is closed", async () => {
      const first = await RawClient.open(rig.server.port, "/hall/twice?name=first");
      first.send(text('["hello",null,0]'));
      await first.received(2);
      const { session, member } = JSON.parse(first.texts[0] ?? "")[1] as { session: string; member: string };
      const second = await RawClient.open(rig.server.port, "/hall/twice?name=second");
      second.send(text(JSON.stringify(["hello", session, 1])));
      assert.equal(await first.closeCode(), 4001);
      await second.received(2);
      const [kind, welcome] = JSON.parse(second.texts[0] ?? "") as [string, { isResumed: boolean; member: string }];
      assert.deepEqual([kind, welcome.isResumed, welcome.member], ["welcome", true, member]);
      assert.match(second.texts[1] ?? "", /"resumed":"first"/);
      first.end();
      second.end();
    });

    test("a client that says what no client says is closed", async () => {
      for (const said of ["hello", "[]", '["say",1,1]', '["hello",7,0]', '["hello",null,-1]', '{"a":1}']) {
        const raw = await RawClient.open(rig.server.port, "/hall/rude");
        raw.send(text(said));
        assert.equal(await raw.closeCode(), 4002, said);
        raw.end();
      }
      const raw = await RawClient.open(rig.server.port, "/hall/rude");
      raw.send({ opcode: 2, payload: '["hello",null,0]' });
      assert.equal(await raw.closeCode(), 4002);
      raw.end();
    });

    test("a session ends when nobody comes back in time, or when too much was missed", async () => {
      const brief = await rig.guest("/brief/gone", "brief").joined();
      const stays = await rig.guest("/brief/gone", "stays").joined();
      await dropFor(brief, 600);
      await stays.until("the end of the session", () => stays.events.some((event) => event.reason === "expired"));
      await brief.until("another welcome", () => brief.welcomes.length === 2);
      assert.equal(brief.welcomes[1]?.isResumed, false);
      const narrow = await rig.guest("/narrow/gone", "narrow").joined();
      const talks = await rig.guest("/narrow/gone", "talks").joined();
      const away = dropFor(narrow, 300);
      for (let number = 0; number < 20; number++) talks.order("say", { text: `${number}` });
      await away;
      await narrow.until("another welcome", () => narrow.welcomes.length === 2);
      assert.equal(narrow.welcomes[1]?.isResumed, false);
      await talks.until("the reason", () => talks.events.some((event) => event.reason === "lagged"));
    });

    test("rooms refuse: a full one, a removed member, a key that is not given, a room that cannot be made", async () => {
      await rig.guest("/narrow/full", "one").joined();
      await rig.guest("/narrow/full", "two").joined();
      const third = rig.guest("/narrow/full", "three");
      await third.until("the end", () => third.ended !== undefined);
      assert.deepEqual(third.ended, { code: 4003, reason: "The room is full" });
      const removed = await rig.guest("/hall/remove", "removed").joined();
      removed.order("remove");
      await removed.until("the end", () => removed.ended !== undefined);
      assert.deepEqual(removed.ended, { code: 4005, reason: "out with you" });
      const forbidden = await RawClient.open(rig.server.port, "/hall/forbidden");
      assert.match(forbidden.head, /^HTTP\/1\.1 403 /);
      forbidden.end();
      const broken = await RawClient.open(rig.server.port, "/broken/any");
      broken.send(text('["hello",null,0]'));
      assert.equal(await broken.closeCode(), 1013);
      broken.end();
    });

    test("a message at which the room fails removes its sender, and nobody else", async () => {
      const good = await rig.guest("/hall/fails", "good").joined();
      const bad = await rig.guest("/hall/fails", "bad").joined();
      bad.order("unsayable");
      await good.until("the reason", () =>
        good.events.some(({ left, reason }) => left === "bad" && reason === "failed"),
      );
      await bad.until("another welcome", () => bad.welcomes.length === 2);
      assert.deepEqual(bad.welcomes[1]?.isResumed, false);
      // It is acknowledged or not: it is not said again.
      assert.equal(bad.client.waitingCount, 0);
    });

    test("who comes gets the last value of each state", async () => {
      const first = await rig.guestOn(0, "/hall/states", "first");
      for (const value of [1, 2, 3]) first.order("state", { key: "height", value });
      first.order("state", { key: "width", value: { of: "it" } });
      await first.until("the states", () => first.states.has("width"));
      assert.equal(first.states.get("height"), 3);
      const late = await rig.guestOn(OTHER, "/hall/states", "late");
      await late.until("the states", () => late.states.size === 2);
      assert.deepEqual(
        [...late.states],
        [
          ["height", 3],
          ["width", { of: "it" }],
        ],
      );
    });

    test("a peer that does not read is closed, comes back and has missed nothing; of states it gets the last", async () => {
      const quick = await rig.guest("/hall/slow", "quick").joined();
      const raw = await RawClient.open(rig.server.port, "/hall/slow?name=raw");
      raw.send(text('["hello",null,0]'));
      await raw.received(2);
      const { session, seen } = JSON.parse(raw.texts[0] ?? "")[1] as { session: string; seen: number };
      raw.peer.socket.pause();
      const slowBefore = await total(rig, "slowMembers");
      // More than the kernel takes for it, but of states only the last counts; then events, which must all come.
      quick.order("states", { count: 300, bytes: 50_000 });
      quick.order("storm", { count: 150, bytes: 3_000 });
      await quick.until("the storm", () => quick.events.some((event) => event.number === 149));
      await waitUntil(async () => (await total(rig, "slowMembers")) > slowBefore);
      assert.equal((quick.states.get("position") as { number: number }).number, 299);
      raw.end();
      const back = await RawClient.open(rig.server.port, "/hall/slow?name=raw");
      back.send(text(JSON.stringify(["hello", session, seen])));
      // More than may wait for it at once: it comes back as often as it must.
      const numbers = new Set<number>();
      await readAll({ rig, first: back, session, seen, numbers, until: 150 });
      assert.equal(numbers.size, 150);
      assert.deepEqual(
        [...numbers],
        Array.from({ length: 150 }, (_, number) => number),
      );
    });

    test("a room answers from everywhere, and is put away when nobody is left", async () => {
      const guest = await rig.guest("/hall/asked", "asked").joined();
      const answer = await fetch(`${rig.server.url}/ask/asked?question=who`);
      const { question, members } = (await answer.json()) as { question: string; members: string[] };
      assert.deepEqual([question, members], ["who", ["asked here"]]);
      for (let shard = 0; shard < SHARDS; shard++)
        assert.deepEqual((await rig.call<{ members: string[] }>(shard, "ask", "hall", "asked")).members, [
          "asked here",
        ]);
      guest.client.close();
      await waitUntil(
        async () => (await rig.call<{ members: string[] }>(0, "ask", "hall", "asked")).members.length === 0,
      );
      const leaves = await rig.guest("/brief/idle", "leaves").joined();
      leaves.client.close();
      await waitUntil(async () => (await closings(rig)).includes("idle idle"));
    });

    test("ticks come while there are members", async () => {
      const guest = rig.guest("/ticking/clock", "clock");
      await guest.until("ticks", () => guest.events.length >= 5);
      const numbers = guest.events.map(({ tick }) => Number(tick));
      for (const [index, number] of numbers.entries()) assert.equal(number, (numbers[0] ?? 0) + index);
      assert.ok(guest.events.every(({ deltaMs }) => deltaMs === 20));
    });
  });

  describe(`rooms whose shards die, on the ${driver} driver`, { skip }, () => {
    test("members survive their shard's death, and the room's own makes it begin anew", {
      skip: SHARDS === 1,
    }, async () => {
      await withRooms("rooms-app", { driver }, async (under) => {
        const room = await roomOn(under, 0);
        const near = await under.guestOn(0, `/hall/${room}`, "near");
        const far = await under.guestOn(1, `/hall/${room}`, "far");
        const said = (guest: Guest): string[] => guest.texts;
        await assert.rejects(under.call(1, "exit"));
        for (let number = 0; number < 20; number++) near.order("say", { text: `${number}` });
        await far.until("all that was said while it was away", () => said(far).length === 20);
        assert.deepEqual(said(far), said(near));
        assert.ok(far.welcomes.slice(1).every(({ isResumed }) => isResumed));
        await assert.rejects(under.call(0, "exit"));
        for (const guest of [near, far]) {
          await guest.until(
            "a room that begins anew",
            () => guest.welcomes.at(-1)?.isResumed === false && guest.welcomes.length > 1,
          );
          guest.order("say", { text: `${guest.name} again` });
        }
        for (const guest of [near, far])
          await guest.until("both", () => [near, far].every(({ name }) => guest.texts.includes(`${name} again`)));
      });
    });

    test("a rolling restart puts the rooms away and brings everybody back", async () => {
      await withRooms("rooms-app", { driver, drainMs: 1_000 }, async (under) => {
        const guests = [await under.guestOn(0, "/hall/rolling", "a"), await under.guestOn(OTHER, "/hall/rolling", "b")];
        await under.server.restart();
        for (const guest of guests) {
          await guest.until("it is back", () => guest.client.status === "joined" && guest.welcomes.length > 1);
          guest.order("say", { text: `${guest.name} again` });
        }
        for (const guest of guests)
          await guest.until("both", () => guests.every(({ name }) => guest.texts.includes(`${name} again`)));
      });
    });
  });
}

function text(payload: string): { opcode: number; payload: string } {
  return { opcode: 1, payload };
}

/** Keeps a client away for so long. */
async function dropFor({ client }: Guest, ms: number): Promise<void> {
  client.disconnect();
  await pause(ms);
  client.reconnect();
}

async function waitUntil(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 30_000;
  while (performance.now() < endMs) {
    if (await holds()) return;
    await pause(10);
  }
  assert.fail("Waited in vain");
}

async function total(rig: RoomsRig, name: string): Promise<number> {
  let sum = 0;
  for (let shard = 0; shard < SHARDS; shard++)
    sum += (await rig.call<Record<string, number>>(shard, "stats", "hall"))[name] ?? 0;
  return sum;
}

async function closings(rig: RoomsRig): Promise<string[]> {
  const all: string[] = [];
  for (let shard = 0; shard < SHARDS; shard++) all.push(...(await rig.call<string[]>(shard, "closed")));
  return all;
}

async function roomOn(rig: RoomsRig, shard: number): Promise<string> {
  for (let number = 0; number < 50; number++)
    if ((await rig.ownerOf(`room-${number}`)) === shard) return `room-${number}`;
  assert.fail(`No room of shard ${shard}`);
}

interface Reading {
  readonly rig: RoomsRig;
  readonly first: RawClient;
  readonly session: string;
  readonly seen: number;
  readonly numbers: Set<number>;
  readonly until: number;
}

/** Reads a session's events to the end, resuming whenever the server closes. */
async function readAll({ rig, first, session, seen, numbers, until }: Reading): Promise<void> {
  let raw = first;
  let last = seen;
  while (numbers.size < until) {
    const isDone = (): boolean =>
      raw.peer.isClosed ||
      raw.frames.some(({ opcode, payload }) => opcode === 8 || payload.includes(`"number":${until - 1},`));
    await raw.peer.signal.until("the events", isDone);
    for (const one of raw.texts) {
      const [kind, n, data] = JSON.parse(one) as [string, number, { number?: number }];
      if (kind !== "event" || n <= last) continue;
      last = n;
      if (data.number !== undefined) numbers.add(data.number);
    }
    raw.end();
    if (numbers.size >= until) return;
    raw = await RawClient.open(rig.server.port, "/hall/slow?name=raw");
    raw.send(text(JSON.stringify(["hello", session, last])));
  }
}
