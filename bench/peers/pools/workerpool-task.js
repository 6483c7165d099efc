// What the threads of workerpool run.
import workerpool from "workerpool";
import { burn } from "../kernel.js";

workerpool.worker({ burn });
