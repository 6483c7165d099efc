// The same express app as in bench/peers, served by Ringloom.
export { default } from "../peers/express-app.js";
