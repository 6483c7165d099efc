// The same hono app as in bench/peers, served by Ringloom.
export { default } from "../peers/hono-app.js";
