import { LightRequest } from "./light-request.js";
import { LightResponse } from "./light-response.js";
import { standInFor } from "./stand-in.js";

const NativeRequest = globalThis.Request;
const nativeFetch = globalThis.fetch;

type RequestParameters = ConstructorParameters<typeof Request>;

/** The global Request that also takes the light one, which only looks like a Request to the real constructor. */
class GlobalRequest extends NativeRequest {
  constructor(input: RequestParameters[0], init?: RequestParameters[1]) {
    super(LightRequest.toReal(input) as RequestParameters[0], init);
  }
}

standInFor(GlobalRequest, NativeRequest);

/**
 * Makes the light classes this thread's own: `Response` is {@link LightResponse}, `Request` and `fetch` also take the Request that a handler got.
 * A server with a `fetch` handler does it when it starts, unless the option `overrideGlobals` is false. Doing it again changes nothing; it is not undone,
 * because responses made in between stay in use.
 */
export function overrideWebGlobals(): void {
  if (globalThis.Response === (LightResponse as unknown)) return;
  define("Response", LightResponse);
  define("Request", GlobalRequest);
  define("fetch", fetch);
}

function fetch(input: Parameters<typeof nativeFetch>[0], init?: Parameters<typeof nativeFetch>[1]): Promise<Response> {
  // A light Request is turned into a real one inside of the promise, so that what fails there rejects, as fetch promises.
  if (!(input instanceof NativeRequest)) return nativeFetch(input, init);
  return Promise.resolve(input).then((request) => nativeFetch(LightRequest.toReal(request), init));
}

function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true, enumerable: false });
}
