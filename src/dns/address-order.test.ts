/** The order of addresses, by the examples of RFC 6724 (section 10) and of RFC 8305, and the drawing of services. */
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Random } from "../../test/support/random.js";
import { addressBytes } from "./address.js";
import { orderAddresses } from "./address-order.js";
import { orderServices } from "./service-order.js";

function order(targets: readonly string[], sources: readonly string[], firstFamilyCount?: number): string[] {
  const addresses = targets.map((address) => ({ address, family: isIP(address) as 4 | 6 }));
  const options = firstFamilyCount === undefined ? { sources } : { sources, firstFamilyCount };
  return orderAddresses(addresses, options).map(({ address }) => address);
}

describe("orderAddresses()", () => {
  test("follows the examples of RFC 6724, section 10.2", () => {
    const cases: readonly (readonly [string[], string[]])[] = [
      // Prefer matching scope.
      [
        ["2001:db8:1::1", "198.51.100.121"],
        ["2001:db8:1::2", "fe80::1", "169.254.13.78"],
      ],
      [
        ["198.51.100.121", "2001:db8:1::1"],
        ["fe80::1", "198.51.100.117"],
      ],
      // Prefer matching label.
      [
        ["2002:c633:6401::1", "2001:db8:1::1"],
        ["2002:c633:6401::2", "fe80::2"],
      ],
      // Prefer higher precedence: native over 6to4, IPv6 over IPv4.
      [
        ["2001:db8:1::1", "2002:c633:6401::1"],
        ["2002:c633:6401::2", "2001:db8:1::2", "fe80::2"],
      ],
      [
        ["2001:db8:1::1", "10.1.2.3"],
        ["2001:db8:1::2", "fe80::1", "10.1.2.4"],
      ],
      // Prefer smaller scope.
      [
        ["fe80::1", "2001:db8:1::1"],
        ["2001:db8:1::2", "fe80::2"],
      ],
    ];
    for (const [wanted, sources] of cases) {
      assert.deepEqual(order(wanted, sources), wanted);
      assert.deepEqual(order([...wanted].reverse(), sources), wanted);
    }
  });

  test("puts last what cannot be reached, and does not leave it out", () => {
    assert.deepEqual(order(["2001:db8::1", "192.0.2.1"], ["10.0.0.2", "::1", "fe80::5"]), ["192.0.2.1", "2001:db8::1"]);
    assert.deepEqual(order(["2001:db8::1", "192.0.2.1"], []), ["2001:db8::1", "192.0.2.1"]);
    assert.deepEqual(order(["::1", "127.0.0.1"], ["127.0.0.1"]), ["127.0.0.1", "::1"]);
  });

  test("lets the families take turns (RFC 8305, section 4)", () => {
    const sources = ["192.0.2.200", "2001:db8::200"];
    const targets = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"];
    assert.deepEqual(order(targets, sources), ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]);
    const two = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
    assert.deepEqual(order(targets, sources, 2), two);
  });

  test("gives every address once, and keeps the order of equal ones", () => {
    const some = fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 12 });
    fc.assert(
      fc.property(some, some, (targets, sources) => {
        assert.deepEqual(order(targets, sources).sort(), [...targets].sort());
      }),
    );
    const equal = ["198.51.100.3", "198.51.100.1", "198.51.100.2"];
    assert.deepEqual(order(equal, ["192.0.2.1"]), equal);
  });
});

describe("addressBytes()", () => {
  test("reads every way to write an address", () => {
    const hex = (address: string) =>
      Buffer.from(addressBytes({ address, family: isIP(address) as 4 | 6 })).toString("hex");
    assert.equal(hex("::"), "0".repeat(32));
    assert.equal(hex("2001:db8::8:800:200c:417a"), "20010db80000000000080800200c417a");
    assert.equal(hex("fe80::1%eth0"), `fe80${"0".repeat(26)}01`);
    assert.equal(hex("::ffff:192.0.2.1"), `${"0".repeat(20)}ffffc0000201`);
    assert.equal(hex("192.0.2.1"), hex("::ffff:192.0.2.1"));
    assert.equal(hex("1:2:3:4:5:6:7::"), "00010002000300040005000600070000");
  });
});

describe("orderServices()", () => {
  test("draws by weight: nine of ten times the one with nine tenths comes first", () => {
    const random = new Random(20_26);
    const services = [
      { host: "small", port: 1, priority: 1, weight: 100 },
      { host: "large", port: 1, priority: 1, weight: 900 },
    ];
    let large = 0;
    for (let index = 0; index < 10_000; index++)
      if (orderServices(services, () => random.next() / 2 ** 32)[0]?.host === "large") large++;
    assert.ok(large > 8_800 && large < 9_200, `${large} of 10,000`);
  });

  test("gives each service once, by priority", () => {
    const services = fc.array(fc.record({ host: fc.string(), port: fc.nat(), priority: fc.nat(3), weight: fc.nat(5) }));
    fc.assert(
      fc.property(services, fc.double({ min: 0, max: 0.999, noNaN: true }), (list, drawn) => {
        const ordered = orderServices(list, () => drawn);
        assert.equal(ordered.length, list.length);
        assert.deepEqual(new Set(ordered), new Set(list));
        const priorities = ordered.map(({ priority }) => priority);
        assert.deepEqual(
          priorities,
          [...priorities].sort((first, second) => first - second),
        );
      }),
    );
  });
});
