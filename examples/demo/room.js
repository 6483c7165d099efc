/**
 * The auto-battle: a room for each key, which lives on the shard that owns the key and has its players on any. Players recruit, the squads fight by themselves, the last one standing wins the round.
 *
 * What happened (`broadcast`) reaches everybody once and in order, also who was away for a while. What is so now (`setState`), such as where everybody stands, may leave out what nobody needs any more.
 */
import { readFileSync } from "node:fs";
import { rooms } from "ringloom/realtime";
import { ARENA, KINDS, standing, startBattle, stepBattle } from "./battle.js";

const TICK_MS = 100;
const PLAYERS_MAX = 6;
const SQUAD_MAX = 8;
const GOLD_FIRST = 10;
const GOLD_EACH_ROUND = 5;
const NAME_LENGTH_MAX = 16;
/** So long the clock still runs when everybody is ready. */
const READY_MS = 1_000;
const PHASE_MS = { gather: 12_000, fight: 40_000, result: 4_000 };
const BOTS = ["Warp", "Weft"];
const CHEERS = ["Bravo", "Ouch", "Wow"];

class Match {
  #room;
  #players = new Map();
  #bots = [];
  #phase = "gather";
  #leftMs = PHASE_MS.gather;
  #round = 1;
  #battle = { units: [] };
  #winner = "";

  constructor(room) {
    this.#room = room;
    room.setState("arena", { ...ARENA, kinds: KINDS, playersMax: PLAYERS_MAX, squadMax: SQUAD_MAX, cheers: CHEERS });
  }

  join(member) {
    if (!member.data.isWatching) this.#enter(member);
    this.#showPeople();
    this.#showScene();
  }

  resume() {
    this.#showPeople();
  }

  disconnect() {
    this.#showPeople();
  }

  leave(member, reason) {
    const player = this.#players.get(member.id);
    if (player !== undefined) {
      this.#players.delete(member.id);
      this.#tell("left", { name: player.name, away: reason === "expired" });
    }
    this.#showPeople();
  }

  message(member, message) {
    if (message?.do === "play") this.#enter(member);
    else if (message?.do === "recruit") this.#recruit(member, message.kind);
    else if (message?.do === "ready") this.#getReady(member);
    else if (message?.do === "cheer" && CHEERS.includes(message.cheer))
      this.#room.broadcast({ kind: "cheer", name: member.data.name, cheer: message.cheer });
    this.#showPeople();
  }

  tick({ deltaMs }) {
    const before = this.#leftMs;
    this.#leftMs -= deltaMs;
    if (this.#phase === "fight") this.#fight(deltaMs);
    if (this.#leftMs <= 0) this.#nextPhase();
    else if (this.#phase !== "fight" && Math.ceil(before / 1000) === Math.ceil(this.#leftMs / 1000)) return;
    this.#showScene();
  }

  #enter(member) {
    if (this.#players.has(member.id) || this.#players.size >= PLAYERS_MAX) return;
    const { name } = member.data;
    const taken = new Set([...this.#players.values()].map((player) => player.color));
    const color = [...Array(PLAYERS_MAX).keys()].find((index) => !taken.has(index));
    // Who comes late gets what the others have had, for the most part.
    const gold = Math.min(GOLD_FIRST + (this.#round - 1) * 3, 30);
    this.#players.set(member.id, { id: member.id, name, color, gold, squad: [], wins: 0, isReady: false });
    this.#tell("entered", { name });
  }

  #recruit(member, kind) {
    const player = this.#players.get(member.id);
    if (player === undefined || this.#phase !== "gather" || typeof kind !== "string" || !Object.hasOwn(KINDS, kind))
      return;
    const { cost } = KINDS[kind];
    if (player.gold < cost || player.squad.length >= SQUAD_MAX) return;
    player.gold -= cost;
    player.squad.push(kind);
    this.#tell("recruited", { name: player.name, unit: kind });
  }

  #getReady(member) {
    const player = this.#players.get(member.id);
    if (player === undefined || this.#phase !== "gather") return;
    player.isReady = true;
    const present = [...this.#players.values()].filter(({ id }) => this.#room.members.get(id)?.isConnected);
    if (present.every(({ isReady }) => isReady)) this.#leftMs = Math.min(this.#leftMs, READY_MS);
  }

  #fight(ms) {
    for (const { unit, by } of stepBattle(this.#battle, ms)) {
      const hunter = this.#players.get(by.owner);
      if (hunter !== undefined) hunter.gold += 1;
      this.#tell("felled", {
        name: this.#nameOf(by.owner),
        unit: by.kind,
        victim: this.#nameOf(unit.owner),
        fallen: unit.kind,
      });
      this.#showPeople();
    }
    if (standing(this.#battle).length <= 1) this.#leftMs = 0;
  }

  #nextPhase() {
    if (this.#phase === "gather") this.#startFight();
    else if (this.#phase === "fight") this.#endFight();
    else this.#startRound();
    this.#leftMs = PHASE_MS[this.#phase];
    this.#showPeople();
  }

  #startFight() {
    const players = [...this.#players.values()];
    for (const player of players) if (player.squad.length === 0) player.squad.push("blade");
    const strength = Math.max(2, ...players.map((player) => player.squad.length));
    this.#bots = BOTS.slice(0, Math.max(2 - players.length, 0)).map((name, index) => ({
      id: `bot-${index}`,
      name,
      color: PLAYERS_MAX - 1 - index,
      squad: Array.from({ length: strength }, (_, place) => Object.keys(KINDS)[(place + this.#round + index) % 3]),
    }));
    this.#battle = startBattle([...players, ...this.#bots].map(({ id, squad }) => ({ id, kinds: squad })));
    this.#phase = "fight";
    this.#tell("fight", { round: this.#round });
  }

  #endFight() {
    const [winner, ...others] = standing(this.#battle);
    const player = this.#players.get(winner);
    this.#winner = winner === undefined || others.length > 0 ? "" : this.#nameOf(winner);
    if (player !== undefined && this.#winner !== "") {
      player.wins += 1;
      player.gold += 3;
    }
    this.#phase = "result";
    this.#tell("won", { name: this.#winner, round: this.#round });
  }

  #startRound() {
    for (const player of this.#players.values()) {
      player.gold += GOLD_EACH_ROUND;
      player.isReady = false;
    }
    this.#round += 1;
    this.#bots = [];
    this.#battle = { units: [] };
    this.#winner = "";
    this.#phase = "gather";
  }

  #nameOf(id) {
    return (this.#players.get(id) ?? this.#bots.find((bot) => bot.id === id))?.name ?? "somebody who left";
  }

  #tell(kind, what) {
    this.#room.broadcast({ kind, ...what });
  }

  #showPeople() {
    const members = [...this.#room.members.values()];
    this.#room.setState("people", {
      players: [...this.#players.values()].map((player) => ({
        ...player,
        isAway: this.#room.members.get(player.id)?.isConnected !== true,
      })),
      bots: this.#bots,
      watching: members.filter((member) => !this.#players.has(member.id)).length,
    });
  }

  #showScene() {
    const round = (value) => Math.round(value * 10) / 10;
    this.#room.setState("scene", {
      phase: this.#phase,
      leftMs: Math.max(this.#leftMs, 0),
      round: this.#round,
      winner: this.#winner,
      // id, owner, kind, x, y, health from 0 to 1, whom it hits
      units: this.#battle.units.map((unit) => [
        unit.id,
        unit.owner,
        unit.kind,
        round(unit.x),
        round(unit.y),
        round(unit.health / KINDS[unit.kind].health),
        unit.hits,
      ]),
    });
  }
}

const matches = rooms("auto-battle", (room) => new Match(room), {
  tickMs: TICK_MS,
  membersMax: 500,
  replayEvents: 500,
});

/** Adds the page and the route of the rooms to the demo. */
export function addRoom(app) {
  const page = readFileSync(new URL("./room.html", import.meta.url), "utf8");
  const client = readFileSync(new URL(import.meta.resolve("ringloom/realtime/client")), "utf8");
  app.get("/room", (c) => c.html(page));
  app.get("/realtime-client.js", (c) => {
    c.setHeader("content-type", "text/javascript; charset=utf-8");
    return c.body(client);
  });
  app.ws(
    "/room/:room/live",
    matches.route({
      key: (c) => c.param("room"),
      connect: (c) => ({
        name: (c.query("name") ?? "").trim().slice(0, NAME_LENGTH_MAX) || "Nobody",
        isWatching: c.query("watch") === "1",
      }),
    }),
  );
}
