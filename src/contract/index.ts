/** `ringloom/contract`: what routes take and give, checked, typed and documented. */
export {
  type ContractDefinition,
  type ContractInput,
  type ContractIssue,
  type ContractValues,
  contract,
} from "./contract.js";
export { type OpenApiDocument, type OpenApiOptions, openapi } from "./openapi.js";
export type { Schema, SchemaIssue, SchemaResult } from "./standard-schema.js";
