/** Matches with hundreds of players whose connections are cut at random: everybody's ledger is the room's. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { driversUnderTest } from "../support/drivers.js";
import { Random, seedOf } from "../support/random.js";
import { type Guest, SHARDS, withRooms } from "./rooms-rig.js";

const ROOMS = 15;
const PLAYERS_EACH = 20;
const BLOWS = 5;
const CUTS = 200;

for (const { name: driver, skip } of driversUnderTest) {
  describe(`matches on the ${driver} driver`, { skip }, () => {
    test(`${ROOMS * PLAYERS_EACH} players over ${SHARDS} shards see every blow once and in order, however often their connections are cut`, async (t) => {
      const seed = seedOf();
      const random = new Random(seed);
      t.diagnostic(`RINGLOOM_SEED=${seed}`);
      await withRooms("match-app", { driver, connections: 2_048 }, async (rig) => {
        const matches = await Promise.all(
          Array.from({ length: ROOMS }, async (_, room) => {
            const guests = Array.from({ length: PLAYERS_EACH }, (_, player) =>
              rig.guest(`/match/${room}`, `p${player}`),
            );
            for (const guest of guests) await guest.until("a welcome", () => guest.welcomes.length > 0);
            return guests;
          }),
        );
        const players = matches.flat();
        for (let cut = 0, blow = 0; cut < CUTS || blow < BLOWS; cut++) {
          if (cut % Math.ceil(CUTS / BLOWS) === 0 && blow < BLOWS) {
            blow += 1;
            for (const player of players) player.client.send({ victim: `p${random.below(PLAYERS_EACH)}`, blow });
          }
          const player = players[random.below(players.length)];
          player?.client.reconnect();
          if (cut % 10 === 0) await pause(1);
        }
        for (const [room, guests] of matches.entries())
          await checkLedgers(room, guests, () => rig.call<string[]>(0, "ask", "match", String(room)));
        assert.ok(
          players.some(({ welcomes }) => welcomes.length > 1),
          "somebody's connection was cut",
        );
        assert.ok(players.every(({ welcomes }) => welcomes.slice(1).every(({ isResumed }) => isResumed)));
        assert.ok(players.every(({ states }) => Number(states.get("clock")) > 0));
      });
    });
  });
}

async function checkLedgers(room: number, guests: readonly Guest[], ask: () => Promise<string[]>): Promise<void> {
  const lines = PLAYERS_EACH + PLAYERS_EACH * BLOWS;
  for (const guest of guests) {
    const lastLine = (): boolean => guest.client.waitingCount === 0 && guest.client.seen === lines;
    await guest.until(`room ${room}: all ${lines} lines, ${guest.client.seen} are there`, lastLine);
  }
  const ledger = await ask();
  assert.equal(ledger.length, lines);
  for (const { name, events } of guests) {
    const heard = events.map(String);
    // From where it came in.
    assert.deepEqual(
      heard,
      ledger.slice(ledger.findIndex((line) => line.startsWith(`${name} enters`))),
      `${name} of room ${room}`,
    );
    const mine = ledger.filter((line) => line.startsWith(`${name} strikes`));
    assert.deepEqual(
      mine.map((line) => Number(/blow (\d+)/.exec(line)?.[1])),
      Array.from({ length: BLOWS }, (_, blow) => blow + 1),
    );
  }
}
