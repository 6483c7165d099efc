/**
 * Errors on their way between threads: as plain data that the task codec and the structured clone algorithm both carry, and back.
 *
 * A structured clone alone keeps neither `code` nor the name of a class. What is thrown may be anything, with getters that throw themselves, so nothing here fails: what cannot be read is left out.
 */
import { RingloomError, type RingloomErrorOptions } from "../errors.js";

/** Causes of causes, and errors of an AggregateError, that are kept. */
const CAUSES_MAX = 8;
/** Errors of one AggregateError that are kept. */
const ERRORS_MAX = 32;
/** Own properties besides those that every error has: `errno`, `syscall`, `path`, `status` … */
const PROPERTIES_MAX = 16;
/** The longest text of each kind, in UTF-16 units. */
const MESSAGE_UNITS_MAX = 8192;
const STACK_UNITS_MAX = 16_384;
const PROPERTY_UNITS_MAX = 1024;

type Scalar = string | number | boolean | bigint | null | undefined;

/** An error as plain data. */
export interface ErrorRecord {
  /** Which class is made of it again. */
  readonly kind: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | number | undefined;
  readonly properties: Readonly<Record<string, Scalar>>;
  /** Of a RingloomError. */
  readonly operation: string | undefined;
  readonly details: Readonly<Record<string, Scalar>> | undefined;
  readonly cause: ThrownRecord | undefined;
  readonly errors: readonly ThrownRecord[] | undefined;
}

/** Anything thrown: an error, or another value, which crosses as a structured clone, or as a description where that cannot be. */
export type ThrownRecord = { readonly error: ErrorRecord } | { readonly value: unknown };

type ErrorMaker = new (message: string, options?: ErrorOptions) => Error;

/** Classes that every thread has. All others arrive as an Error with their name. */
const CLASSES: Readonly<Record<string, ErrorMaker>> = {
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
};
const TAKEN = new Set(["name", "message", "stack", "code", "cause", "errors", "operation", "details", "__proto__"]);

/** Puts what was thrown into the form that crosses threads. */
export function toThrownRecord(thrown: unknown, depth = 0): ThrownRecord {
  if (thrown instanceof Error) return { error: toErrorRecord(thrown, depth) };
  if (isScalar(thrown)) return { value: typeof thrown === "string" ? clip(thrown, MESSAGE_UNITS_MAX) : thrown };
  // In an object of its own, because a clone may well be undefined.
  return unlessThrown(() => ({ value: structuredClone(thrown) })) ?? { value: describe(thrown) };
}

/** What is thrown on this side. `awaiter` is the stack of whoever waits here ({@link awaiterStack}); it is put below the stack that came. */
export function fromThrownRecord(record: ThrownRecord, awaiter?: string): unknown {
  if (!("error" in record)) return record.value;
  const { error } = record;
  const rebuilt = rebuild(error);
  const stack = error.stack ?? `${error.name}: ${error.message}`;
  define(
    rebuilt,
    "stack",
    awaiter === undefined ? stack : `${stack}\n    at (another thread, awaited here)\n${awaiter}`,
  );
  return rebuilt;
}

/** The stack of the caller of `above`, without a message, for {@link fromThrownRecord}. It costs microseconds, so it is made only when something waits, or has failed. */
export function awaiterStack(above: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, above);
  const { stack } = holder;
  return typeof stack === "string" ? stack.slice(stack.indexOf("\n") + 1) : "";
}

function toErrorRecord(error: Error, depth: number): ErrorRecord {
  const name = nameOf(error);
  const code = read(error, "code");
  const cause = depth < CAUSES_MAX ? read(error, "cause") : undefined;
  const errors = depth < CAUSES_MAX && error instanceof AggregateError ? read(error, "errors") : undefined;
  return {
    kind: kindOf(error),
    name,
    message: clip(text(read(error, "message")) ?? "", MESSAGE_UNITS_MAX),
    stack: clipped(text(read(error, "stack")), STACK_UNITS_MAX),
    code: typeof code === "string" || typeof code === "number" ? code : undefined,
    properties: scalarsOf(error, TAKEN),
    operation: error instanceof RingloomError ? error.operation : undefined,
    details: error instanceof RingloomError && error.details !== undefined ? scalarsOf(error.details) : undefined,
    cause: cause === undefined ? undefined : toThrownRecord(cause, depth + 1),
    errors: Array.isArray(errors)
      ? errors.slice(0, ERRORS_MAX).map((one) => toThrownRecord(one, depth + 1))
      : undefined,
  };
}

/** The class by which the other side makes the error again. */
function kindOf(error: Error): string {
  if (error instanceof RingloomError) return "RingloomError";
  if (error instanceof DOMException) return "DOMException";
  if (error instanceof AggregateError) return "AggregateError";
  const known = Object.entries(CLASSES).find(([name, made]) => name !== "Error" && error instanceof made);
  return known === undefined ? "Error" : known[0];
}

/** The error's `name`; when that is still the one of a class of the language, the name of its own class says more. */
function nameOf(error: Error): string {
  const name = text(read(error, "name")) ?? "Error";
  const made = read(error, "constructor");
  const className = typeof made === "function" ? text(read(made, "name")) : undefined;
  const isInherited = name in CLASSES && className !== undefined && className !== "";
  return clip(isInherited ? className : name, PROPERTY_UNITS_MAX);
}

/** The own properties that are scalars, up to a number. */
function scalarsOf(target: object, left: ReadonlySet<string> = new Set(["__proto__"])): Record<string, Scalar> {
  const found: [string, Scalar][] = [];
  for (const key of unlessThrown(() => Object.keys(target)) ?? []) {
    if (found.length === PROPERTIES_MAX) break;
    const value = left.has(key) || key.length > PROPERTY_UNITS_MAX ? undefined : read(target, key);
    if (value === undefined || !isScalar(value)) continue;
    found.push([key, typeof value === "string" ? clip(value, PROPERTY_UNITS_MAX) : value]);
  }
  return Object.fromEntries(found);
}

function rebuild(record: ErrorRecord): Error {
  const options = record.cause === undefined ? undefined : { cause: fromThrownRecord(record.cause) };
  const error = construct(record, options);
  if (error.name !== record.name) define(error, "name", record.name);
  if (record.code !== undefined && Reflect.get(error, "code") !== record.code) define(error, "code", record.code, true);
  for (const [key, value] of Object.entries(record.properties)) if (!TAKEN.has(key)) define(error, key, value, true);
  return error;
}

function construct(record: ErrorRecord, options: ErrorOptions | undefined): Error {
  const { kind, message } = record;
  if (kind === "RingloomError") {
    const ringloomOptions: RingloomErrorOptions = {
      ...options,
      ...(record.operation === undefined ? {} : { operation: record.operation }),
      ...(record.details === undefined ? {} : { details: record.details }),
    };
    return new RingloomError(String(record.code), message, ringloomOptions);
  }
  if (kind === "AggregateError") {
    return new AggregateError(record.errors?.map((one) => fromThrownRecord(one)) ?? [], message, options);
  }
  if (kind === "DOMException") {
    const exception = new DOMException(message, record.name);
    if (options !== undefined) define(exception, "cause", options.cause);
    return exception;
  }
  return new (Object.hasOwn(CLASSES, kind) ? CLASSES[kind]! : Error)(message, options);
}

function define(target: object, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable, configurable: true });
}

function isScalar(value: unknown): value is Scalar {
  return value === null || !["object", "function", "symbol"].includes(typeof value);
}

/** A value that is no error and does not cross, in words. */
function describe(value: unknown): string {
  return clip(
    unlessThrown(() => JSON.stringify(value)) ?? unlessThrown(() => String(value)) ?? typeof value,
    MESSAGE_UNITS_MAX,
  );
}

function read(target: object, key: string): unknown {
  return unlessThrown(() => Reflect.get(target, key));
}

function unlessThrown<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function clipped(value: string | undefined, unitsMax: number): string | undefined {
  return value === undefined ? undefined : clip(value, unitsMax);
}

function clip(value: string, unitsMax: number): string {
  return value.length <= unitsMax ? value : `${value.slice(0, unitsMax)}…`;
}
