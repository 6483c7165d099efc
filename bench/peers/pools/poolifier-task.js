// What the threads of poolifier run.
import { ThreadWorker } from "poolifier";
import { burn } from "../kernel.js";

export default new ThreadWorker(({ seed, steps }) => burn(seed, steps));
