// The subjects of the suite `memory` on Ringloom: what idle connections belong to. `GET /__gc` collects all garbage first.
import { App } from "ringloom/http";

export const limits = { idleTimeoutMs: 600_000 };

const app = new App();
app.get("/", (c) => c.text("hello"));
app.get("/__gc", (c) => {
  globalThis.gc?.();
  return c.text("collected");
});
app.ws("/ws", { message: (ws, message) => ws.send(message), limits: { idleTimeoutMs: 600_000 } });

export default app;
