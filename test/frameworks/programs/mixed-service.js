// Two routes have been converted; express has the rest.
import { App } from "ringloom/http";
import { nodeHandler } from "ringloom/node";
import service from "./express-service.js";

const app = new App();
app.get("/hot", (c) => c.text("hot"));
app.get("/large", (c) => c.text("x".repeat(2_000_000)));
app.fallback(nodeHandler(service));

export default app;
