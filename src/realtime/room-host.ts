/**
 * One room on the shard that owns its key: an actor, whose calls are what gateways, timers and `ask` want of it, one at a time.
 *
 * A member is a session. Its connection comes and goes: events are numbered for the whole room and kept in one log, so that a client that comes back says which it has seen and gets the rest.
 * A client's messages have numbers of its own, of which the next one is handled and those before it are not handled again.
 */
import { randomUUID } from "node:crypto";
import { RingloomError } from "../errors.js";
import type { EvictionReason } from "../keyed/actor-options.js";
import { log } from "../observe/log.js";
import { monotonicMs } from "../observe/monotonic.js";
import { type GatewayAddress, ownGateway } from "./delivery.js";
import { EventLog, isFor } from "./event-log.js";
import { gatewaySeen, isGatewaySilent, type RoomLife, roomLives } from "./gateway-beats.js";
import { CLOSE, eventText, stateText, welcomeText } from "./protocol.js";
import type { BroadcastOptions, LeaveReason, Room, RoomHandlers, RoomStats, Tick } from "./room.js";
import type { RoomOptions } from "./room-options.js";
import { RoomOutbox } from "./room-outbox.js";
import { jsonOf, Session, type SessionHost } from "./session.js";
import { Ticker } from "./ticker.js";

const STATE_KEY_LENGTH_MAX = 64;
const SWEEP_MS_MIN = 20;
const SWEEP_MS_MAX = 1_000;

/** A connection wants in. */
export interface JoinRequest {
  readonly gateway: GatewayAddress;
  readonly connection: string;
  /** The session that its client had. */
  readonly session: string | undefined;
  /** The last event that its client has seen. */
  readonly seen: number;
  /** What `connect` gave. */
  readonly data: unknown;
}

/** What comes from a connection. */
export type Inbound =
  | { readonly kind: "say"; readonly connection: string; readonly n: number; readonly data: unknown }
  | { readonly kind: "seen"; readonly connection: string; readonly n: number }
  | { readonly kind: "gone"; readonly connection: string; readonly how: "lost" | "left" | "slow" | "violation" };

/** What became of what came. */
export interface Taken {
  /** Connections that are not the room's, or not any more. */
  readonly strangers: readonly string[];
  /** Those whose message ended their session: it is not acknowledged. */
  readonly refused: readonly string[];
}

/** The calls of the actor that a room is. */
export interface RoomCalls {
  join(request: JoinRequest): Promise<"joined" | "full">;
  take(items: readonly Inbound[]): Promise<Taken>;
  tick(epoch: string, tick: Tick): Promise<void>;
  sweep(): Promise<void>;
  lose(gateway: string): Promise<void>;
  ask(question: unknown): Promise<unknown>;
}

/** What a room is made of. */
export interface RoomParts {
  readonly name: string;
  readonly key: string;
  readonly options: Required<RoomOptions>;
  readonly stats: RoomStats;
  /** The room as an actor, for what comes from timers. */
  readonly self: () => RoomCalls;
}

/** See the top of the file. */
export class RoomHost implements SessionHost {
  readonly room: Room;
  readonly #parts: RoomParts;
  readonly #life: RoomLife;
  readonly #log: EventLog;
  readonly #outbox: RoomOutbox;
  readonly #ticker: Ticker | undefined;
  readonly #sessions = new Map<string, Session>();
  readonly #byToken = new Map<string, Session>();
  readonly #byConnection = new Map<string, Session>();
  readonly #states = new Map<string, string>();
  readonly #dies: () => void;
  #handlers: RoomHandlers = {};
  #sweepTimer: NodeJS.Timeout | undefined;
  #calledMs = 0;
  #memberCount = 0;
  #isClosed = false;
  /** What handlers that were called from within others, such as `leave`, have not finished yet. */
  #unfinished: PromiseLike<unknown>[] = [];

  constructor(parts: RoomParts) {
    const { name, key, options, self } = parts;
    this.#parts = parts;
    this.#life = { rooms: name, key, epoch: randomUUID() };
    this.#log = new EventLog(options.replayEvents, options.replayBytes);
    this.#outbox = new RoomOutbox(this.#life, (gateway) => {
      // A call would make the room anew.
      if (!this.#isClosed) void ignore(self().lose(gateway));
    });
    if (options.tickMs > 0) {
      const run = (tick: Tick): Promise<unknown> => ignore(self().tick(this.#life.epoch, tick));
      const { tickMs: periodMs, missedTicks: missed, catchUpMax } = options;
      this.#ticker = new Ticker({ periodMs, missed, catchUpMax, run });
    }
    this.room = {
      key,
      members: this.#sessions,
      broadcast: (event, how) => this.#broadcast(event, how),
      setState: (stateKey, value) => this.#setState(stateKey, value),
    };
    this.#dies = roomLives(this.#life, (connection) => this.#byConnection.has(connection));
    parts.stats.roomsNow += 1;
  }

  /** What happens in it, from now on. */
  start(handlers: RoomHandlers): void {
    this.#handlers = handlers;
  }

  // --- the calls of the actor

  async join(request: JoinRequest): Promise<"joined" | "full"> {
    this.#called();
    const known = request.session === undefined ? undefined : this.#byToken.get(request.session);
    const session = known !== undefined && this.#canResume(known, request.seen) ? known : undefined;
    if (session !== undefined) await this.#resume(session, request);
    else {
      if (known !== undefined) {
        this.#parts.stats.lagged += 1;
        this.#drop(known, { reason: "lagged", code: CLOSE.replaced });
      }
      if (this.#sessions.size >= this.#parts.options.membersMax) return "full";
      await this.#admit(request);
    }
    await this.#settle();
    return "joined";
  }

  async take(items: readonly Inbound[]): Promise<Taken> {
    this.#called();
    const strangers: string[] = [];
    const refused: string[] = [];
    for (const item of items) {
      const session = this.#byConnection.get(item.connection);
      if (session !== undefined) {
        await this.#takeOne(session, item);
        if (session.hasLeft) refused.push(item.connection);
      } else if (item.kind !== "gone") strangers.push(item.connection);
    }
    await this.#settle();
    return { strangers, refused };
  }

  async tick(epoch: string, tick: Tick): Promise<void> {
    this.#called();
    if (epoch !== this.#life.epoch || this.#sessions.size === 0) return;
    const { stats } = this.#parts;
    stats.ticks += 1;
    stats.ticksMissed += tick.missed;
    stats.tickLateMsMax = Math.max(stats.tickLateMsMax, tick.lateMs);
    await this.#run("tick", () => this.#handlers.tick?.(tick));
    await this.#settle();
  }

  /** Ends sessions whose time is over, and lets go of gateways that are silent. */
  async sweep(): Promise<void> {
    this.#called();
    const own = ownGateway().id;
    for (const gateway of this.#outbox.gateways) {
      if (gateway !== own && isGatewaySilent(gateway)) await this.#loseGateway(gateway);
    }
    for (const session of [...this.#sessions.values()]) {
      if (this.#isExpired(session)) this.#drop(session, { reason: "expired" });
    }
    await this.#settle();
  }

  async lose(gateway: string): Promise<void> {
    this.#called();
    await this.#loseGateway(gateway);
    await this.#settle();
  }

  async ask(question: unknown): Promise<unknown> {
    this.#called();
    if (this.#handlers.ask === undefined) {
      throw new RingloomError(
        "ERR_RINGLOOM_NO_SUCH_FUNCTION",
        `Cannot ask the room ${JSON.stringify(this.#parts.key)}: it has no handler "ask".`,
        { operation: "ask", details: { rooms: this.#parts.name, key: this.#parts.key } },
      );
    }
    try {
      return await this.#handlers.ask(question);
    } finally {
      await this.#settle();
    }
  }

  /** The room is put away. */
  async close(reason: EvictionReason): Promise<void> {
    const { stats } = this.#parts;
    this.#ticker?.stop();
    clearInterval(this.#sweepTimer);
    // What it says now goes out before the sockets are closed.
    await this.#run("close", () => this.#handlers.close?.(reason));
    this.#isClosed = true;
    const code = reason === "stop" ? CLOSE.goingAway : CLOSE.roomGone;
    for (const session of this.#sessions.values()) {
      const { connection } = session;
      if (connection === undefined) continue;
      this.#outbox.to(connection.gateway, { kind: "close", connection: connection.connection, code, reason });
      stats.connectedNow -= 1;
    }
    stats.membersNow -= this.#sessions.size;
    stats.roomsNow -= 1;
    await this.#settle();
    for (const session of this.#sessions.values()) {
      session.connection = undefined;
      session.hasLeft = true;
    }
    this.#dies();
  }

  // --- members

  sendTo(session: Session, event: unknown): void {
    const json = jsonOf("send", event, this.#parts.options.eventBytesMax);
    if (!session.hasLeft) this.#emit(json, { to: session.id });
  }

  remove(session: Session, code: number, reason: string): void {
    this.#drop(session, { reason: "removed", code, text: reason });
  }

  /** Whether all is there that it has missed. Events for others count as seen. */
  #canResume(session: Session, seen: number): boolean {
    if (seen > this.#log.last) return false;
    return seen >= session.lastEvent || seen >= this.#log.droppedThrough;
  }

  async #admit(request: JoinRequest): Promise<void> {
    this.#memberCount += 1;
    // The epoch's beginning keeps ids apart that two lives of a room give.
    const id = `${this.#memberCount}-${this.#life.epoch.slice(0, 4)}`;
    const session = new Session(this, { id, data: request.data, event: this.#log.last });
    this.#sessions.set(id, session);
    this.#byToken.set(session.token, session);
    this.#parts.stats.membersNow += 1;
    this.#parts.stats.joins += 1;
    if (this.#sessions.size === 1) this.#wake();
    this.#connect(session, request, false);
    const isFine = await this.#run("join", () => this.#handlers.join?.(session));
    if (!isFine) this.#drop(session, { reason: "failed", code: CLOSE.failed });
  }

  async #resume(session: Session, request: JoinRequest): Promise<void> {
    this.#parts.stats.resumes += 1;
    this.#disconnect(session, { code: CLOSE.replaced, reason: "Another connection has the session" });
    session.seen = request.seen;
    this.#connect(session, request, true);
    await this.#run("resume", () => this.#handlers.resume?.(session));
  }

  #connect(session: Session, { gateway, connection }: JoinRequest, isResumed: boolean): void {
    if (gateway.id !== ownGateway().id) gatewaySeen(gateway.id);
    session.connection = { gateway: gateway.id, connection };
    this.#byConnection.set(connection, session);
    this.#parts.stats.connectedNow += 1;
    this.#outbox.attach(gateway, connection);
    const { token, id, handled, seen } = session;
    const { resumeMs } = this.#parts.options;
    const text = welcomeText({ session: token, member: id, isResumed, handled, seen, resumeMs });
    this.#outbox.to(gateway.id, { kind: "welcome", connection, text });
    for (const missed of this.#log.after(seen, id))
      this.#outbox.to(gateway.id, { kind: "one", connection, text: missed.text });
    for (const state of this.#states.values()) this.#outbox.to(gateway.id, { kind: "one", connection, text: state });
  }

  /** Takes its connection from a session, and closes it unless it is closed already. */
  #disconnect(session: Session, close?: { readonly code: number; readonly reason: string }): boolean {
    const { connection } = session;
    if (connection === undefined) return false;
    if (close !== undefined)
      this.#outbox.to(connection.gateway, { kind: "close", connection: connection.connection, ...close });
    session.connection = undefined;
    session.disconnectedMs = monotonicMs();
    this.#byConnection.delete(connection.connection);
    this.#outbox.detach(connection.gateway, connection.connection);
    this.#parts.stats.connectedNow -= 1;
    return true;
  }

  /** Ends a session. With a code its connection is closed. */
  #drop(session: Session, end: { readonly reason: LeaveReason; readonly code?: number; readonly text?: string }): void {
    if (session.hasLeft || this.#isClosed) return;
    const { reason, code, text = reason } = end;
    session.hasLeft = true;
    this.#disconnect(session, code === undefined ? undefined : { code, reason: text });
    this.#sessions.delete(session.id);
    this.#byToken.delete(session.token);
    this.#parts.stats.membersNow -= 1;
    this.#unfinished.push(this.#run("leave", () => this.#handlers.leave?.(session, reason)));
    if (this.#sessions.size === 0) this.#rest();
  }

  async #takeOne(session: Session, item: Inbound): Promise<void> {
    switch (item.kind) {
      case "say":
        return this.#say(session, item.n, item.data);
      case "seen":
        if (item.n > this.#log.last) this.#drop(session, { reason: "violation", code: CLOSE.violation });
        else session.seen = Math.max(session.seen, item.n);
        return;
      case "gone":
        if (item.how !== "lost") return this.#drop(session, { reason: item.how });
        if (this.#disconnect(session)) await this.#run("disconnect", () => this.#handlers.disconnect?.(session));
    }
  }

  async #say(session: Session, n: number, data: unknown): Promise<void> {
    const { stats } = this.#parts;
    if (n <= session.handled) {
      stats.duplicates += 1;
      return;
    }
    if (n !== session.handled + 1) {
      this.#drop(session, { reason: "violation", code: CLOSE.violation, text: "A message is missing" });
      return;
    }
    // Before it runs: one that fails is not to come again.
    session.handled = n;
    stats.messages += 1;
    const isFine = await this.#run("message", () => this.#handlers.message?.(session, data));
    if (!isFine) this.#drop(session, { reason: "failed", code: CLOSE.failed });
  }

  async #loseGateway(gateway: string): Promise<void> {
    const connections = this.#outbox.connectionsAt(gateway);
    for (const connection of connections) {
      const session = this.#byConnection.get(connection);
      if (session !== undefined) await this.#takeOne(session, { kind: "gone", connection, how: "lost" });
    }
    this.#outbox.drop(gateway);
  }

  // --- what the room says

  #broadcast(event: unknown, { except }: BroadcastOptions = {}): void {
    const json = jsonOf("broadcast", event, this.#parts.options.eventBytesMax);
    this.#emit(json, except === undefined ? {} : { except: except.id });
  }

  #emit(json: string, { to, except }: { readonly to?: string; readonly except?: string }): void {
    if (this.#isClosed) return;
    const n = this.#log.last + 1;
    const text = eventText(n, json);
    this.#parts.stats.events += 1;
    const event = { n, text, to, except };
    this.#log.push(event);
    for (const session of this.#sessions.values()) if (isFor(event, session.id)) session.lastEvent = n;
    if (to === undefined) {
      const connection = except === undefined ? undefined : this.#sessions.get(except)?.connection?.connection;
      this.#outbox.toAll({ kind: "all", text, except: connection });
      return;
    }
    const connection = this.#sessions.get(to)?.connection;
    if (connection !== undefined)
      this.#outbox.to(connection.gateway, { kind: "one", connection: connection.connection, text });
  }

  #setState(key: string, value: unknown): void {
    const { eventBytesMax, statesMax } = this.#parts.options;
    if (typeof key !== "string" || key === "" || key.length > STATE_KEY_LENGTH_MAX)
      throw new TypeError(`Cannot set a state: its key is not 1 to ${STATE_KEY_LENGTH_MAX} characters`);
    const text = stateText(key, jsonOf("set a state", value, eventBytesMax));
    if (this.#isClosed) return;
    if (!this.#states.has(key) && this.#states.size >= statesMax) {
      throw new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot set a state: there are ${statesMax} keys already.`, {
        operation: "setState",
        details: { key, statesMax },
      });
    }
    this.#states.set(key, text);
    this.#outbox.toAll({ kind: "state", key, text });
  }

  // --- its time

  /** Somebody is there. */
  #wake(): void {
    const { resumeMs, idleMs } = this.#parts.options;
    this.#ticker?.start();
    const periodMs = Math.min(Math.max(Math.min(resumeMs / 4, idleMs / 4), SWEEP_MS_MIN), SWEEP_MS_MAX);
    this.#sweepTimer = setInterval(() => this.#look(), periodMs);
    this.#sweepTimer.unref();
  }

  /** Nobody is there, and nobody can come back. */
  #rest(): void {
    this.#ticker?.stop();
    clearInterval(this.#sweepTimer);
    this.#sweepTimer = undefined;
    this.#log.dropThrough(this.#log.last);
  }

  /** Looks whether there is something to sweep, without a call for each room each time. A room with silent members must be called now and then, though: it would be put away. */
  #look(): void {
    let seen = this.#log.last;
    let isDue = monotonicMs() - this.#calledMs > this.#parts.options.idleMs / 3;
    for (const session of this.#sessions.values()) {
      seen = Math.min(seen, session.seen);
      isDue ||= this.#isExpired(session);
    }
    const own = ownGateway().id;
    isDue ||= this.#outbox.gateways.some((gateway) => gateway !== own && isGatewaySilent(gateway));
    this.#log.dropThrough(seen);
    if (isDue) void ignore(this.#parts.self().sweep());
  }

  #isExpired(session: Session): boolean {
    return !session.isConnected && monotonicMs() - session.disconnectedMs >= this.#parts.options.resumeMs;
  }

  #called(): void {
    this.#calledMs = monotonicMs();
  }

  /** Runs a handler; false when it failed, which is logged. */
  async #run(handler: keyof RoomHandlers, run: () => unknown): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      const { name: rooms, key } = this.#parts;
      log.error("a handler of a room failed", { rooms, key, handler, err: error });
      return false;
    }
  }

  /** Waits for the handlers that were called from within others, and sends what is to be sent. */
  async #settle(): Promise<void> {
    while (this.#unfinished.length > 0) await Promise.all(this.#unfinished.splice(0));
    this.#outbox.flush();
  }
}

/** For calls whose failure shows elsewhere: the room is gone, or is being put away. */
function ignore(call: Promise<unknown>): Promise<unknown> {
  return call.catch(() => undefined);
}
