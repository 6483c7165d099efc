import { App } from "ringloom/http";

const app = new App();
app.get("/", (c) => c.text("hello from a container\n"));
app.get("/slow/:ms", async (c) => {
  const ms = Math.min(Number(c.param("ms")) || 0, 10_000);
  await new Promise((resolve) => setTimeout(resolve, ms));
  return c.json({ waitedMs: ms });
});

export default app;
