import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { LightHeaders } from "./light-headers.js";

type Field = readonly [string, string];

function light(fields: readonly Field[]): Headers {
  const lines = fields.map(([name, value]) => `${name}: ${value}`).join("\r\n");
  return new LightHeaders(`/ HTTP/1.1\r\n${lines}`, 12) as unknown as Headers;
}

function real(fields: readonly Field[]): Headers {
  return new Headers(fields.map(([name, value]) => [name, value] as [string, string]));
}

const name = fc.constantFrom(
  "Host",
  "accept",
  "Accept",
  "X-A",
  "x-a",
  "Cookie",
  "cookie",
  "x_1",
  "X~Y",
  "x^y",
  "content-type",
);
const value = fc.string({ maxLength: 8 }).map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, ":"));
const fields = fc.array(fc.tuple(name, value), { maxLength: 8 });

test("LightHeaders answers as real Headers do, whatever is asked first", () => {
  const asked = fc.array(fc.oneof(name, fc.constantFrom("missing", "HOST", "x\u00015y", "X~Y", "x>y")), {
    maxLength: 4,
  });
  fc.assert(
    fc.property(fields, asked, (list, names) => {
      const [a, b] = [light(list), real(list)];
      for (const each of names) {
        assert.deepEqual(
          outcome(() => a.get(each)),
          outcome(() => b.get(each)),
        );
        assert.deepEqual(
          outcome(() => a.has(each)),
          outcome(() => b.has(each)),
        );
      }
      assert.deepEqual([...a], [...b]);
      assert.deepEqual([...a.keys()], [...b.keys()]);
      assert.deepEqual([...a.values()], [...b.values()]);
      assert.deepEqual([...a.entries()], [...b.entries()]);
      for (const each of names)
        assert.deepEqual(
          outcome(() => a.get(each)),
          outcome(() => b.get(each)),
        );
    }),
    { numRuns: 1000 },
  );
});

test("LightHeaders can be changed", () => {
  const headers = light([
    ["Host", "a"],
    ["X-A", "1"],
  ]);
  headers.append("x-a", "2");
  headers.set("x-b", "3");
  headers.delete("host");
  assert.equal(headers.get("X-A"), "1, 2");
  assert.equal(headers.get("X-B"), "3");
  assert.equal(headers.has("Host"), false);
  assert.deepEqual(headers.getSetCookie(), []);
});

test("LightHeaders passes for Headers", () => {
  const headers = light([
    ["Host", "a"],
    ["X-A", "1"],
  ]);
  assert.ok(headers instanceof Headers);
  assert.equal(Object.prototype.toString.call(headers), "[object Headers]");
  assert.deepEqual(
    [...new Headers(headers)],
    [
      ["host", "a"],
      ["x-a", "1"],
    ],
  );
  assert.equal(new Request("http://a/", { headers }).headers.get("x-a"), "1");
  const seen: string[] = [];
  headers.forEach((each, key, all) => {
    seen.push(key, each, String(all === headers));
  });
  assert.deepEqual(seen, ["host", "a", "true", "x-a", "1", "true"]);
  assert.match(inspect(headers), /x-a/i);
});

function outcome(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return (error as Error).constructor;
  }
}
