/** `ringloom/dns`: names to addresses and services. */
export { RingloomError, type RingloomErrorCode, type RingloomErrorOptions } from "../errors.js";
export type { WaitOptions } from "../task/wait-errors.js";
export type { Address } from "./address.js";
export { type AddressOrderOptions, orderAddresses } from "./address-order.js";
export { type LookupOptions, lookup, Resolver, type ResolverStats } from "./resolver.js";
export type { ResolverOptions } from "./resolver-settings.js";
export type { Service } from "./service-order.js";
