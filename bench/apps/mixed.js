// The subjects `ringloom` and `ringloom-epoll` of the suite `mixed`: GET /hello, and GET /work?ms=N.
import { App } from "ringloom/http";
import { burnMs } from "../peers/work/answer.js";

const app = new App();

app.get("/hello", (c) => c.text("hello"));
// On the shard that has the connection, which stands still meanwhile. As a task this is `async (c) => c.text(String(await images.burn(ms)))`.
app.get("/work", (c) => {
  const ms = Number(c.query("ms"));
  return c.text(String(burnMs(ms)));
});

export default app;
