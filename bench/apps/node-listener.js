// The same listener as that of node-http, served by Ringloom.
export { default } from "../peers/node-listener.js";
