// What services do, with Koa.
import { Readable } from "node:stream";
import { json, text } from "node:stream/consumers";
import Koa from "koa";

const app = new Koa();
app.silent = true;
app.use(async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    ctx.status = 500;
    ctx.body = { error: error.message };
  }
});
app.use(async (ctx) => {
  if (ctx.path === "/json") {
    ctx.body = await json(ctx.req);
    ctx.status = 201;
  } else if (ctx.path === "/upload") ctx.body = String((await text(ctx.req)).length);
  else if (ctx.path === "/stream") ctx.body = Readable.from(["one ", "two ", "three"]);
  else if (ctx.path === "/large") ctx.body = "x".repeat(2_000_000);
  else if (ctx.path === "/slow") {
    await new Promise((resolve) => setTimeout(resolve, 700));
    ctx.body = "slow";
  } else throw new Error("koa caught it");
});

export default app;
