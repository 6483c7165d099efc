/** A preload for Hono's own test suite (scripts/framework-suites.js): its tests meet Ringloom's Request, Response and fetch instead of Node's. */
import { overrideWebGlobals } from "../../dist/src/http/web-globals.js";

overrideWebGlobals();
