// Koa's "Hello World" (koajs.com); its last statement was app.listen(3000).
const Koa = require("koa");
const app = new Koa();

app.use(async (ctx) => {
  ctx.body = "Hello World";
});

module.exports = app;
