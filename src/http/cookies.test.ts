import assert from "node:assert/strict";
import { test } from "node:test";
import { cookieRecord, cookieValue, formatCookie } from "./cookies.js";

test("cookieValue() finds a cookie, unquotes and decodes it", () => {
  assert.equal(cookieValue("a=1; b=2", "b"), "2");
  assert.equal(cookieValue("a=1; a=2", "a"), "1");
  assert.equal(cookieValue('a="x y"', "a"), "x y");
  assert.equal(cookieValue("a=%C3%A9", "a"), "é");
  assert.equal(cookieValue("a=%zz", "a"), "%zz");
  assert.equal(cookieValue("aa=1", "a"), undefined);
  assert.deepEqual({ ...cookieRecord("a=1; junk; b=2; a=3") }, { a: "1", b: "2" });
});

test("formatCookie() writes attributes and encodes what a value cannot hold", () => {
  assert.equal(formatCookie("a", "1"), "a=1");
  assert.equal(
    formatCookie("a", "x;y", {
      path: "/",
      maxAge: 60,
      httpOnly: true,
      secure: true,
      sameSite: "lax",
      domain: "example.org",
    }),
    "a=x%3By; Domain=example.org; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
  );
  assert.equal(cookieValue(formatCookie("a", "é; b=2"), "a"), "é; b=2");
});

test("formatCookie() throws for what would end the field or start another attribute", () => {
  assert.throws(() => formatCookie("a b", "1"), TypeError);
  assert.throws(() => formatCookie("a", "1", { path: "/; Secure" }), TypeError);
  assert.throws(() => formatCookie("a", "1", { domain: "x\r\ny" }), TypeError);
  assert.throws(() => formatCookie("a", "1", { maxAge: 1.5 }), RangeError);
});
