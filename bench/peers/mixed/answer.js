// What every JavaScript server of the suite `mixed` answers: GET /hello, and GET /work?ms=N with what `work` says.
import { burn } from "../kernel.js";

const stepsPerMs = Number(process.env.BENCH_STEPS_PER_MS);
if (!(stepsPerMs > 0)) throw new Error("Cannot start: BENCH_STEPS_PER_MS is not set");

/** Burns so many milliseconds of CPU on this thread and returns the kernel's result, which the load generator checks. */
export function burnMs(ms) {
  return burn(ms, Math.floor(ms * stepsPerMs));
}

/** The milliseconds of `/work?ms=N`; undefined for any other path. */
export function millisecondsOf(url) {
  const match = /^\/work\?ms=(\d{1,5})$/.exec(url);
  return match === null ? undefined : Number(match[1]);
}

/** A listener of node:http. `work(ms)` returns the result or a promise of it. */
export function listener(work) {
  const send = (response, text) => {
    response.setHeader("content-type", "text/plain");
    response.setHeader("content-length", Buffer.byteLength(text));
    response.end(text);
  };
  return (request, response) => {
    if (request.url === "/hello") return send(response, "hello");
    const ms = millisecondsOf(request.url);
    if (ms === undefined) {
      response.statusCode = 404;
      return send(response, "not found");
    }
    Promise.resolve(work(ms)).then(
      (result) => send(response, String(result)),
      (error) => {
        response.statusCode = 500;
        send(response, error.message);
      },
    );
  };
}
