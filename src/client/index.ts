/** `ringloom/client`: an HTTP/1.1 client on this thread's driver. Everything here is experimental. */
export { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "../errors.js";
export type { BodySource } from "../http/response-body.js";
export type { Resolver } from "../net/resolver.js";
export type { WaitOptions } from "../task/wait-errors.js";
export { fetch, HttpClient, type HttpClientStats, request } from "./client.js";
export type { ClientTimeouts, ClientTlsOptions, HttpClientOptions } from "./client-options.js";
export type { RequestContent, RequestHeaders } from "./message.js";
export type { ProxySettings } from "./proxy.js";
export type { ClientRequestOptions } from "./request-options.js";
export { ClientResponse, ResponseBody } from "./response.js";
