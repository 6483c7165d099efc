// The same listener as that of node-http, behind an App of Ringloom that has no routes.
import { App } from "ringloom/http";
import { nodeHandler } from "ringloom/node";
import answer from "../peers/node-listener.js";

export default new App().fallback(nodeHandler(answer));
