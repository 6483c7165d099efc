// What the threads of piscina and tinypool run: one task, its argument and its result as their guides show them.
import { burn } from "../kernel.js";

export default function task({ seed, steps }) {
  return burn(seed, steps);
}
