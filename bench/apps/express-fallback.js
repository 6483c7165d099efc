// The same express app as in bench/peers, behind an App of Ringloom that has no routes.
import { App } from "ringloom/http";
import { nodeHandler } from "ringloom/node";
import app from "../peers/express-app.js";

export default new App().fallback(nodeHandler(app));
