/**
 * The rules of the auto-battle, without rooms or sockets: squads that stand around an arena, and walk into each other until one is left.
 *
 * Blades catch archers, archers wear guards down, guards hold blades off: each deals half as much again to the one it beats.
 */

/** The arena, in lengths of its own. */
export const ARENA = { width: 100, height: 64 };

export const KINDS = {
  blade: { cost: 3, health: 60, damage: 9, pauseMs: 600, range: 5, speed: 10, beats: "archer" },
  archer: { cost: 3, health: 36, damage: 7, pauseMs: 900, range: 20, speed: 8, beats: "guard" },
  guard: { cost: 4, health: 120, damage: 6, pauseMs: 900, range: 5, speed: 7, beats: "blade" },
};

const ADVANTAGE = 1.5;
const ELBOW = 4.5;

/** Puts squads, `{ id, kinds }`, around the arena. */
export function startBattle(squads) {
  const units = [];
  squads.forEach(({ id, kinds }, place) => {
    const angle = (place / squads.length) * 2 * Math.PI - Math.PI / 2;
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    kinds.forEach((kind, index) => {
      const aside = (index - (kinds.length - 1) / 2) * 5;
      units.push({
        id: units.length + 1,
        owner: id,
        kind,
        x: clamp(ARENA.width / 2 + x * 40 - y * aside, 2, ARENA.width - 2),
        y: clamp(ARENA.height / 2 + y * 26 + x * aside, 2, ARENA.height - 2),
        health: KINDS[kind].health,
        waitMs: index * 90,
        target: undefined,
        hits: 0,
      });
    });
  });
  return { units };
}

/** Lets so much time pass. Gives who fell, as `{ unit, by }`. */
export function stepBattle(battle, ms) {
  const fallen = [];
  for (const unit of battle.units) {
    unit.hits = 0;
    unit.waitMs = Math.max(unit.waitMs - ms, 0);
  }
  for (const unit of battle.units) {
    if (unit.health <= 0) continue;
    if (unit.target === undefined || unit.target.health <= 0) unit.target = nearestEnemy(battle, unit);
    if (unit.target === undefined) continue;
    if (distance(unit, unit.target) > KINDS[unit.kind].range) walk(battle, unit, ms);
    else if (unit.waitMs === 0) strike(unit, fallen);
  }
  battle.units = battle.units.filter((unit) => unit.health > 0);
  return fallen;
}

/** Whose units still stand. */
export function standing(battle) {
  return [...new Set(battle.units.map((unit) => unit.owner))];
}

function nearestEnemy({ units }, from) {
  let found;
  for (const unit of units) {
    if (unit.owner === from.owner || unit.health <= 0) continue;
    if (found === undefined || distance(from, unit) < distance(from, found)) found = unit;
  }
  return found;
}

function walk(battle, unit, ms) {
  const far = distance(unit, unit.target) || 1;
  const stride = (KINDS[unit.kind].speed * ms) / 1000;
  let x = ((unit.target.x - unit.x) / far) * stride;
  let y = ((unit.target.y - unit.y) / far) * stride;
  // Elbows: nobody stands on somebody else.
  for (const other of battle.units) {
    const near = distance(unit, other);
    if (other === unit || other.health <= 0 || near >= ELBOW) continue;
    const push = ((ELBOW - near) / ELBOW) * stride;
    x += near > 0 ? ((unit.x - other.x) / near) * push : push * (unit.id % 2 ? 1 : -1);
    y += near > 0 ? ((unit.y - other.y) / near) * push : 0;
  }
  unit.x = clamp(unit.x + x, 1, ARENA.width - 1);
  unit.y = clamp(unit.y + y, 1, ARENA.height - 1);
}

function strike(unit, fallen) {
  const { damage, pauseMs, beats } = KINDS[unit.kind];
  unit.waitMs = pauseMs;
  unit.hits = unit.target.id;
  unit.target.health -= damage * (unit.target.kind === beats ? ADVANTAGE : 1);
  if (unit.target.health <= 0) fallen.push({ unit: unit.target, by: unit });
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function clamp(value, least, most) {
  return Math.min(Math.max(value, least), most);
}
