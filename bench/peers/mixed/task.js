// What piscina's threads run for `node-piscina`.
import { burnMs } from "./answer.js";

export default burnMs;
