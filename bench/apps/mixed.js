// The subjects `ringloom` and `ringloom-epoll` of the suite `mixed`: GET /hello, and GET /work?ms=N, whose burning is a task on a compute thread.
import { tasks } from "ringloom";
import { App } from "ringloom/http";

const work = tasks(new URL("../peers/mixed/answer.js", import.meta.url));
const app = new App();

app.get("/hello", (c) => c.text("hello"));
app.get("/work", async (c) => c.text(String(await work.burnMs(Number(c.query("ms"))))));

export default app;
