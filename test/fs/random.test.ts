/** Random transfers on a file, held against plain bytes in memory. RINGLOOM_SEED replays a run. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type File, open } from "../../src/fs/index.js";
import { describeOverDrivers } from "../support/file-drivers.js";
import { Random, seedOf } from "../support/random.js";

const STEPS = 120;
const BYTES_MAX = 200_000;

/** What the file must contain, and where its transfers without a position stand. */
interface Model {
  bytes: Buffer;
  position: number;
}

describeOverDrivers("File, at random", () => {
  let folder = "";
  before(() => {
    folder = fs.mkdtempSync(join(tmpdir(), "ringloom-fs-"));
  });
  after(() => fs.rmSync(folder, { recursive: true }));

  test("what is read is what was written, wherever and in however many pieces", async () => {
    const seed = seedOf();
    console.log(`RINGLOOM_SEED=${seed}`);
    const random = new Random(seed);
    const path = join(folder, "file");
    const file = await open(path, { read: true, write: true, create: true, truncate: true });
    const model: Model = { bytes: Buffer.alloc(0), position: 0 };
    try {
      for (let step = 0; step < STEPS; step++) await takeStep(file, model, random);
      assert.deepEqual(fs.readFileSync(path), model.bytes);
    } finally {
      await file.close();
    }
  });
});

async function takeStep(file: File, model: Model, random: Random): Promise<void> {
  switch (random.below(7)) {
    case 0: {
      const length = random.below(BYTES_MAX);
      await file.truncate(length);
      model.bytes = resized(model.bytes, length);
      return;
    }
    case 1: {
      const data = randomBytes(random);
      await file.write(data);
      put(model, data, model.position);
      model.position += data.length;
      return;
    }
    case 2: {
      const data = randomBytes(random);
      const position = random.below(BYTES_MAX);
      await file.writeVector(pieces(data, random), { position });
      put(model, data, position);
      return;
    }
    case 3: {
      const buffer = new Uint8Array(random.below(50_000));
      const count = await file.read(buffer);
      assertRead(buffer, count, model.bytes.subarray(model.position));
      model.position += count;
      return;
    }
    case 4: {
      const buffer = new Uint8Array(random.below(50_000) + 1);
      const position = random.below(BYTES_MAX);
      const count = await file.readVector(pieces(buffer, random), { position });
      assertRead(buffer, count, model.bytes.subarray(position));
      return;
    }
    case 5: {
      const [position, length] = [random.below(BYTES_MAX), random.below(20_000) + 1];
      await file.allocate(position, length);
      model.bytes = resized(model.bytes, Math.max(model.bytes.length, position + length));
      return;
    }
    default:
      await readManyAtOnce(file, model, random);
  }
}

async function readManyAtOnce(file: File, { bytes }: Model, random: Random): Promise<void> {
  const reads = Array.from({ length: 1 + random.below(40) }, async (_, index) => {
    const position = (index * 4_093) % BYTES_MAX;
    const buffer = new Uint8Array(4_096);
    assertRead(buffer, await file.readAt(buffer, position), bytes.subarray(position));
  });
  await Promise.all(reads);
}

/** As much of `expected` as the buffer holds, and nothing behind it. */
function assertRead(buffer: Uint8Array, count: number, expected: Buffer): void {
  const whole = Buffer.alloc(buffer.length);
  const copied = expected.copy(whole, 0, 0, buffer.length);
  assert.equal(count, copied);
  assert.equal(whole.equals(buffer), true);
}

function put(model: Model, data: Uint8Array, position: number): void {
  if (data.length === 0) return;
  model.bytes = resized(model.bytes, Math.max(model.bytes.length, position + data.length));
  model.bytes.set(data, position);
}

function resized(bytes: Buffer, length: number): Buffer {
  const next = Buffer.alloc(length);
  bytes.copy(next);
  return next;
}

function randomBytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: random.below(30_000) }, () => random.below(256));
}

/** Adjoining parts of `bytes`, some of them empty. */
function pieces(bytes: Uint8Array, random: Random): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + random.below(bytes.length - at + 1);
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts.length === 0 ? [bytes] : parts;
}
