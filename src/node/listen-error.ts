import { RingloomError } from "../errors.js";

/** What a program is told that calls `listen` on what Ringloom serves. */
export function listensItself(why: string): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_LISTENS_ITSELF",
    `Cannot listen: ${why}. Ringloom opens the port: remove the call of listen and export the app instead ` +
      '("export default app", or "module.exports = app"), or call serveNode(app, { port })',
    { operation: "listen" },
  );
}
