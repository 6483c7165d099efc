// The subjects of the suite `ws` on Ringloom: every message is sent back.
import { App } from "ringloom/http";

const app = new App();
app.ws("/", { message: (ws, message) => ws.send(message) });

export default app;
