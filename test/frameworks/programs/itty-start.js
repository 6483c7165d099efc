// itty-router's first app (itty.dev), unchanged: it exports an object with fetch.
import { AutoRouter } from "itty-router";

const router = AutoRouter();

router.get("/", () => "Hello World!");

export default { ...router };
