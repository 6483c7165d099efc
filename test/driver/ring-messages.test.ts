/** Rings that ring other rings: `tellRing` of the uring driver. */
import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { release } from "node:os";
import { describe, test } from "node:test";
import type { DriverWake } from "../../src/driver/contract.js";
import { closeDoorbell, createDoorbell } from "../../src/driver/doorbell.js";
import { compareKernelReleases, RING_MESSAGES_RELEASE_MIN } from "../../src/driver/kernel-ladder.js";
import { driversUnderTest } from "../support/drivers.js";
import { Signal } from "../support/signal.js";
import { withRig } from "./rig.js";

for (const under of driversUnderTest) {
  describe(`Driver ${under.name}, tellRing()`, { skip: under.skip }, () => {
    test("rings the driver of that ring, and says when there is none", async () => {
      const doorbell = createDoorbell(under.name);
      const signal = new Signal();
      let rung = 0;
      const untold: number[] = [];
      const heard: DriverWake = {
        doorbell,
        rung() {
          rung += 1;
          signal.notify();
        },
      };
      const ownDoorbell = createDoorbell(under.name);
      const telling: DriverWake = {
        doorbell: ownDoorbell,
        rung: () => undefined,
        untold(number) {
          untold.push(number);
          signal.notify();
        },
      };
      const file = openSync("/dev/null", "r");
      try {
        await withRig(under, { wake: heard }, async ({ driver: other }) => {
          await withRig(under, { wake: telling }, async ({ driver }) => {
            if (under.name !== "uring") {
              assert.equal(driver.tellRing, undefined, "it has no ring");
              assert.equal(driver.ringDescriptor, undefined);
              return;
            }
            const { ringDescriptor } = other;
            assert.ok(ringDescriptor !== undefined);
            if (compareKernelReleases(release(), RING_MESSAGES_RELEASE_MIN) < 0) {
              assert.equal(driver.tellRing?.(ringDescriptor, 5), false, "this kernel may miss it");
              return;
            }
            for (let times = 1; times <= 20; times++) {
              assert.equal(driver.tellRing?.(ringDescriptor, 5), true);
              await signal.until("the ring", () => rung === times);
            }
            assert.equal(driver.tellRing?.(file, 7), true);
            await signal.until("the refusal", () => untold.length === 1);
            assert.deepEqual(untold, [7]);
            await driver.shutdown();
            assert.equal(driver.tellRing?.(ringDescriptor, 5), false);
          });
        });
      } finally {
        closeSync(file);
        closeDoorbell(doorbell);
        closeDoorbell(ownDoorbell);
      }
    });
  });
}
