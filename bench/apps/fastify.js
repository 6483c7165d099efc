// The same fastify app as in bench/peers, served by Ringloom.
export { default } from "../peers/fastify-app.js";
