/** Listens on descriptor 3, a connected socket, and prints the code with which that is refused. */
import type { RingloomError } from "../../src/errors.js";
import { childDriver } from "./child-driver.js";

const driver = childDriver({});
const refusal = await driver.listen(3).then(
  () => ({ code: "none", operation: "none" }),
  (error: RingloomError) => error,
);
await driver.shutdown();
process.stdout.write(JSON.stringify({ code: refusal.code, operation: refusal.operation }));
