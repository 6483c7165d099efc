import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CoarseClock, formatHttpDate, HTTP_DATE_BYTES } from "./http-date.js";

test("formatHttpDate() writes an IMF-fixdate", () => {
  assert.equal(formatHttpDate(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
  assert.equal(formatHttpDate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
});

test("formatHttpDate() agrees with Date's own text", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
      const text = formatHttpDate(seconds * 1000);
      assert.equal(text, new Date(seconds * 1000).toUTCString());
      assert.equal(text.length, HTTP_DATE_BYTES);
    }),
  );
});

test("CoarseClock.tick() keeps time and date together", () => {
  const clock = new CoarseClock();
  assert.equal(clock.dateText, formatHttpDate(clock.epochSeconds * 1000));
  const before = clock.nowMs;
  clock.tick();
  assert.ok(clock.nowMs >= before);
});
