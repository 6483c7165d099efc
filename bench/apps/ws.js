// The subjects of the suite `ws` on Ringloom: every message is sent back, or at /broadcast to everybody.
import { App } from "ringloom/http";

const app = new App();
app.ws("/", { message: (ws, message) => ws.send(message) });
app.ws("/broadcast", {
  open: (ws) => ws.subscribe("all"),
  message: (_ws, message) => app.publish("all", message),
});

export default app;
