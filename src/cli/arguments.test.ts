import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest, parseArguments, UsageError } from "./arguments.js";

const RULES = { valued: ["port", "host", "shards"], switches: ["json", "help"], short: { h: "help" } };

function refuses(args: string[], message: RegExp, hint: string): void {
  assert.throws(
    () => parseArguments(args, RULES),
    (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      assert.equal(error.hint, hint);
      return true;
    },
  );
}

test("parseArguments() reads values in both forms, switches, short forms and positionals", () => {
  const { values, switches, positionals } = parseArguments(
    ["app.js", "--port", "0", "--host=::1", "--json", "-h", "--", "--x"],
    RULES,
  );
  assert.deepEqual(values, { port: "0", host: "::1" });
  assert.deepEqual([...switches], ["json", "help"]);
  assert.deepEqual(positionals, ["app.js", "--x"]);
});

test("parseArguments() hands an empty value on when it is given, for the option itself to refuse", () => {
  assert.deepEqual(parseArguments(["--port="], RULES).values, { port: "" });
});

test("parseArguments() names the nearest option when one is unknown", () => {
  refuses(["--prot", "1"], /^Unknown option --prot\.$/, "Did you mean --port?");
  refuses(["--shard=2"], /^Unknown option --shard\.$/, "Did you mean --shards?");
  refuses(["--colour"], /^Unknown option --colour\.$/, "");
  refuses(["-x"], /^Unknown option -x\.$/, "");
});

test("parseArguments() refuses missing, needless and repeated values", () => {
  refuses(["--port"], /^--port needs a value\.$/, "");
  refuses(["--port", "--json"], /^--port needs a value\.$/, "");
  refuses(["--json=yes"], /^--json takes no value\.$/, "");
  refuses(["--port", "1", "--port", "2"], /^--port is given twice\.$/, "");
});

test("nearest() finds slips and nothing else", () => {
  assert.equal(nearest("sevre", ["serve", "doctor"]), "serve");
  assert.equal(nearest("docter", ["serve", "doctor"]), "doctor");
  assert.equal(nearest("bench", ["serve", "doctor"]), undefined);
});
