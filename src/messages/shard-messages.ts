/**
 * The messages of one shard's thread, from its start to its end: it sends at once, receives as soon as no other thread does for its shard, and looks whenever it is rung.
 *
 * While its driver runs, that one is rung and looks in a turn of its own, so the thread wakes as fast as for a socket. Before and after, and where the service gave the driver no doorbell, rings come through the event loop.
 */
import type { Driver, DriverWake } from "../driver/contract.js";
import { LoopBell } from "../scheduler/loop-bell.js";
import type { SchedulerAssignment } from "../scheduler/scheduler-memory.js";
import { SUM_MAX } from "../shared/lane.js";
import type { MessageSpace } from "../shared/message-space.js";
import { ShardBroadcasts } from "./broadcasts.js";
import { HotCounts } from "./hot-counts.js";
import { wrongThread } from "./message-errors.js";
import {
  loopBellOf,
  type MessageAssignment,
  MessageRinger,
  type RingTeller,
  viewMessages,
  WAKE,
} from "./message-memory.js";
import { MessageReceiving } from "./receiving.js";
import { MessageSending } from "./sending.js";
import { ValueReader } from "./value-blocks.js";

const NO_COUNTS = {
  sent: 0,
  failed: 0,
  backpressured: 0,
  hotAdded: 0,
  cloned: 0,
  received: 0,
  hotTaken: 0,
  doorbells: 0,
  ringMessages: 0,
};

/** One thread's messages. */
export class ShardMessages {
  readonly shard: number;
  readonly shardCount: number;
  readonly sending: MessageSending;
  readonly receiving: MessageReceiving;
  readonly hot: HotCounts;
  readonly broadcasts: ShardBroadcasts;
  readonly #space: MessageSpace;
  readonly #assignment: MessageAssignment;
  readonly #ringer: MessageRinger;
  #isReceiver = false;
  #mayReceive = true;
  #isOver = false;

  constructor(assignment: MessageAssignment) {
    const { slot, words } = assignment;
    const space = viewMessages(assignment);
    this.#space = space;
    this.#assignment = assignment;
    this.shard = space.shardOf(slot);
    this.shardCount = space.shape.shards;
    this.#ringer = new MessageRinger(space, assignment);
    this.sending = new MessageSending(space, assignment, this.#ringer);
    const reader = new ValueReader(space, words);
    this.receiving = new MessageReceiving(space, slot, { ringer: this.#ringer, reader });
    this.hot = new HotCounts(space, slot);
    this.broadcasts = new ShardBroadcasts(assignment.broadcast, {
      slot,
      ring: (other) => this.#ringer.ring(other),
      now: () => performance.now(),
    });
    // A former thread of the slot may have left another one.
    space.setWake(slot, WAKE.loop);
    void this.#listen();
    this.look();
  }

  /** What happened so far. */
  get counts(): Readonly<Record<keyof typeof NO_COUNTS, number>> {
    const { receiving, hot } = this;
    const { rings: doorbells, ringMessages } = this.#ringer;
    return { ...this.sending.counts, received: receiving.received, hotTaken: hot.taken, doorbells, ringMessages };
  }

  /** Somebody has rung: looks for everything that can have happened. */
  look(): void {
    if (this.#isOver) return;
    if (this.#mayReceive && !this.#isReceiver && this.#space.claim(this.#assignment.slot)) {
      this.#isReceiver = true;
      this.hot.begin();
      this.receiving.begin();
    }
    this.sending.look();
    this.hot.look();
    this.receiving.deliver();
    this.broadcasts.look();
  }

  /** From now on rings go to that doorbell. */
  wakeBy(wake: number): void {
    this.#space.setWake(this.#assignment.slot, wake);
    this.look();
  }

  /** The thread's driver runs. Where it has a ring, other threads may tell it by that, and it them. */
  driverStarted(driver: Driver): void {
    if (!canTell(driver)) return;
    this.#ringer.teller = driver;
    this.#space.setRing(this.#assignment.slot, driver.ringDescriptor);
  }

  /** From now on rings come through the event loop again. */
  driverEnded(): void {
    this.#ringer.endTelling();
    this.#space.setRing(this.#assignment.slot, -1);
    this.wakeBy(WAKE.loop);
  }

  /** The kernel has refused to tell the thread of a slot by its ring. */
  untold(slot: number): void {
    this.#ringer.ring(slot);
  }

  /** Another thread receives for this shard from now on; this one may still send. */
  retire(): void {
    const { slot } = this.#assignment;
    this.#mayReceive = false;
    this.receiving.end();
    const sums = this.hot.end();
    this.#space.retire(slot);
    for (const [tag, sum] of sums.entries()) this.#passOn(tag, sum);
    for (const other of this.#space.slotsOf(this.shard)) if (other !== slot) this.#ringer.ring(other);
  }

  /** The thread ends. If it receives for its shard, nobody does any more, and whoever waits for that is told. */
  close(): void {
    const { slot } = this.#assignment;
    this.#mayReceive = false;
    this.receiving.deliverRest();
    this.receiving.end();
    this.hot.end();
    this.#space.close(slot);
    const space = this.#space;
    for (let sender = 0; sender < space.slots; sender++) {
      if (space.wants(sender, this.shard) || space.wants(sender, this.shard, "hot")) this.#ringer.ring(sender);
    }
    this.sending.close();
    this.broadcasts.listen(undefined);
    this.#isOver = true;
  }

  /** Amounts that nobody has asked for are the successor's. */
  #passOn(tag: number, sum: bigint): void {
    for (let left = sum; left > 0n; left -= BigInt(SUM_MAX)) {
      const chunk = left > BigInt(SUM_MAX) ? SUM_MAX : Number(left);
      this.sending.addHot(this.shard, tag, chunk);
    }
  }

  async #listen(): Promise<void> {
    const bell = new LoopBell(loopBellOf(this.#space, this.#assignment.words, this.#assignment.slot));
    for (;;) {
      await bell.next();
      this.look();
      // A bell that is rung again at once would otherwise keep this thread among its microtasks, and its module would never be loaded.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

let current: ShardMessages | undefined;
let scheduler: SchedulerAssignment | undefined;
let slotDoorbell: DriverWake["doorbell"] | undefined;

/** Opens the messages of this thread. */
export function openShardMessages(
  assignment: MessageAssignment,
  schedulerAssignment: SchedulerAssignment | undefined,
): void {
  current = new ShardMessages(assignment);
  scheduler = schedulerAssignment;
  slotDoorbell = assignment.doorbells[assignment.slot];
}

/** What the shard's driver does for its messages, besides what it does for its tasks: to be given to it when it is created. */
export function withMessages(wake: DriverWake | undefined): DriverWake | undefined {
  const messages = current;
  if (messages === undefined) return wake;
  const doorbell = wake?.doorbell ?? slotDoorbell;
  if (doorbell === undefined) return undefined;
  // Behind the creation of the driver, which may fail: until it turns, the event loop hears.
  setImmediate(() => messages.wakeBy(wake === undefined ? WAKE.driver : WAKE.scheduler + (scheduler?.thread ?? 0)));
  return {
    ...wake,
    doorbell,
    rung() {
      wake?.rung();
      messages.look();
    },
    untold: (slot) => messages.untold(slot),
  };
}

/** The driver that was created with {@link withMessages}, once it is there. */
export function forMessages<Kind extends Driver>(driver: Kind): Kind {
  current?.driverStarted(driver);
  return driver;
}

function canTell(driver: Driver): driver is Driver & RingTeller {
  return driver.tellRing !== undefined && driver.ringDescriptor !== undefined;
}

/** The shard's driver has ended. */
export function messagesDriverEnded(): void {
  current?.driverEnded();
}

/** Another thread serves as this shard now. */
export function retireMessages(): void {
  current?.retire();
}

/** This thread is about to end. */
export function closeMessages(): void {
  current?.close();
}

/** What travels from this shard's thread to all others; undefined where no shard runs. */
export function shardBroadcasts(): ShardBroadcasts | undefined {
  return current?.broadcasts;
}

/** What the shard's messages count. */
export function messageCounts(): Readonly<Record<string, number>> {
  return current?.counts ?? NO_COUNTS;
}

/** This thread's messages. @throws RingloomError `ERR_RINGLOOM_WRONG_THREAD` where no shard runs. */
export function currentMessages(operation: string): ShardMessages {
  if (current !== undefined) return current;
  throw wrongThread(operation);
}
