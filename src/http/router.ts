/**
 * A radix tree over the bytes of a path. Matching makes no string and allocates nothing: parameters are spans into the path, written to
 * the request's head.
 *
 *     "/users/" ── "new" ─────────── leaf /users/new
 *         └─ :param ── "/posts" ──── leaf /users/:id/posts
 *         └─ *      ───────────────── leaf /users/*
 *
 * At each node static text is tried before a parameter and a parameter before a wildcard; what fails further down is tried again with the next
 * kind. A route without the request's method counts as failed too, and the methods that it has are remembered for a 405.
 */
import { assert } from "../assert.js";
import { METHOD_COUNT, METHOD_GET, METHOD_HEAD, METHOD_NAMES } from "./methods.js";
import type { RequestHead } from "./request-head.js";
import { isUnreserved, type RoutePattern } from "./route-pattern.js";

const SLASH = 0x2f;
const PERCENT = 0x25;

/** The routes of one pattern shape, by method. */
export interface RouteLeaf<Handler> {
  readonly routes: (Route<Handler> | undefined)[];
  /** Serves every method that has no route of its own. */
  any: Route<Handler> | undefined;
}

/** What matched: the pattern, and what was registered with it. */
export interface Route<Handler> {
  readonly pattern: RoutePattern;
  readonly handler: Handler;
}

class Node<Handler> {
  prefix: Uint8Array;
  /** The first byte of the prefix, or -1; a field of its own because siblings are told apart by it. */
  first: number;
  children: Node<Handler>[] = [];
  param: Node<Handler> | undefined = undefined;
  leaf: RouteLeaf<Handler> | undefined = undefined;
  wildcard: RouteLeaf<Handler> | undefined = undefined;

  constructor(prefix: Uint8Array) {
    this.prefix = prefix;
    this.first = prefix[0] ?? -1;
  }
}

/** Finds the route of a request. Generic over what a route leads to. */
export class Router<Handler> {
  #root = new Node<Handler>(new Uint8Array(0));
  /** Leaves that the last failed match met with other methods. */
  #missed: RouteLeaf<Handler>[] | undefined;

  /**
   * Adds a route; `method` is llhttp's number, or -1 for every method.
   * Throws TypeError when another pattern of the same shape has that method already.
   */
  add(method: number, pattern: RoutePattern, handler: Handler): void {
    let node = this.#root;
    let leaf: RouteLeaf<Handler> | undefined;
    for (const part of pattern.parts) {
      if (part.kind === "static") node = insertStatic(node, Buffer.from(part.text, "latin1"));
      else if (part.kind === "param") node = node.param ??= new Node<Handler>(new Uint8Array(0));
      else leaf = node.wildcard ??= newLeaf();
    }
    leaf ??= node.leaf ??= newLeaf();
    const existing = method < 0 ? leaf.any : leaf.routes[method];
    if (existing !== undefined) {
      const name = method < 0 ? "every method" : METHOD_NAMES[method];
      throw new TypeError(
        `Cannot route ${name} ${pattern.source}: ${existing.pattern.source} already matches the same paths`,
      );
    }
    const route = { pattern, handler };
    if (method < 0) leaf.any = route;
    else leaf.routes[method] = route;
  }

  /**
   * The route for the path and method of `head`, whose parameters are then in `head.params`; undefined when there is none.
   * {@link Router.allowed} tells whether other methods would have had one.
   */
  match(head: RequestHead): Route<Handler> | undefined {
    if (this.#missed !== undefined) this.#missed = undefined;
    head.paramCount = 0;
    head.pathBytes = head.bytes;
    return this.#walk(this.#root, head, head.bytes, head.pathStart, head.pathStart + head.pathLength, 0);
  }

  /** The same for a path with percent signs: matches its normalised form. Undefined path (malformed escape) is the caller's to refuse. */
  matchNormalised(head: RequestHead, path: Buffer): Route<Handler> | undefined {
    if (this.#missed !== undefined) this.#missed = undefined;
    head.paramCount = 0;
    head.pathBytes = path;
    return this.#walk(this.#root, head, path, 0, path.length, 0);
  }

  /** Methods that the last path without a match has routes for, for the Allow field (RFC 9110, section 10.2.1); empty when unknown. */
  allowed(): string[] {
    const names = new Set<string>();
    for (const leaf of this.#missed ?? []) {
      leaf.routes.forEach((route, method) => {
        if (route !== undefined) names.add(METHOD_NAMES[method]!);
      });
    }
    if (names.has("GET")) names.add("HEAD");
    return [...names].sort();
  }

  /**
   * Matches what follows `start`, whose own prefix ends at `from`. It goes on in a loop where nothing else could match, and calls itself only where a
   * failure further down leaves another kind to try. A parameter is written before it is known to lead anywhere: what is tried
   * after it writes the same place again.
   */
  #walk(
    start: Node<Handler>,
    head: RequestHead,
    path: Buffer,
    from: number,
    end: number,
    paramsBefore: number,
  ): Route<Handler> | undefined {
    let node = start;
    let position = from;
    let params = paramsBefore;
    for (;;) {
      const { param, wildcard } = node;
      if (position === end) {
        const route = node.leaf === undefined ? undefined : this.#select(node.leaf, head, params);
        if (route !== undefined || wildcard === undefined) return route;
      } else {
        const first = path[position]!;
        const child = childFor(node, first);
        const childEnd = child === undefined ? -1 : prefixEnd(child.prefix, path, position, end);
        if (childEnd >= 0) {
          if (param === undefined && wildcard === undefined) {
            node = child!;
            position = childEnd;
            continue;
          }
          const route = this.#walk(child!, head, path, childEnd, end, params);
          if (route !== undefined) return route;
        }
        if (param !== undefined && first !== SLASH) {
          const segmentEnd = endOfSegment(path, position + 1, end);
          head.params[params * 2] = position;
          head.params[params * 2 + 1] = segmentEnd - position;
          if (wildcard === undefined) {
            node = param;
            position = segmentEnd;
            params += 1;
            continue;
          }
          const route = this.#walk(param, head, path, segmentEnd, end, params + 1);
          if (route !== undefined) return route;
        }
      }
      if (wildcard === undefined) return undefined;
      head.params[params * 2] = position;
      head.params[params * 2 + 1] = end - position;
      return this.#select(wildcard, head, params + 1);
    }
  }

  #select(leaf: RouteLeaf<Handler>, head: RequestHead, params: number): Route<Handler> | undefined {
    const method = head.method;
    const route = leaf.routes[method] ?? (method === METHOD_HEAD ? leaf.routes[METHOD_GET] : undefined) ?? leaf.any;
    if (route === undefined) {
      (this.#missed ??= []).push(leaf);
      return undefined;
    }
    head.paramCount = params;
    head.paramNames = route.pattern.names;
    return route;
  }
}

/**
 * The path with escapes of unreserved characters decoded and the digits of all others in upper case (RFC 3986, section 6.2.2), so that
 * `/%68ello` is `/hello` and `%2f` stays what it is. Undefined when a percent sign is not followed by two hexadecimal digits.
 */
export function normalisePath(bytes: Buffer, start: number, length: number): Buffer | undefined {
  const path = Buffer.allocUnsafeSlow(length);
  let used = 0;
  for (let position = start; position < start + length; position++) {
    const byte = bytes[position]!;
    if (byte !== PERCENT) {
      path[used++] = byte;
      continue;
    }
    if (position + 2 >= start + length) return undefined;
    const high = hexDigit(bytes[position + 1]!);
    const low = hexDigit(bytes[position + 2]!);
    if (high < 0 || low < 0) return undefined;
    position += 2;
    const decoded = (high << 4) | low;
    if (isUnreserved(decoded)) {
      path[used++] = decoded;
    } else {
      path[used++] = PERCENT;
      path[used++] = upperHex(high);
      path[used++] = upperHex(low);
    }
  }
  return path.subarray(0, used);
}

function childFor<Handler>(node: Node<Handler>, first: number): Node<Handler> | undefined {
  const { children } = node;
  for (let index = 0; index < children.length; index++) {
    const child = children[index]!;
    if (child.first === first) return child;
  }
  return undefined;
}

/** Where `prefix` ends if `path` has it at `position`, its first byte being known to match; else -1. */
function prefixEnd(prefix: Uint8Array, path: Buffer, position: number, end: number): number {
  const length = prefix.length;
  if (end - position < length) return -1;
  for (let index = 1; index < length; index++) {
    if (path[position + index] !== prefix[index]) return -1;
  }
  return position + length;
}

function endOfSegment(path: Buffer, from: number, end: number): number {
  let at = from;
  while (at < end && path[at] !== SLASH) at += 1;
  return at;
}

function insertStatic<Handler>(start: Node<Handler>, text: Uint8Array): Node<Handler> {
  let node = start;
  let rest = text;
  while (rest.length > 0) {
    const position = node.children.findIndex((child) => child.first === rest[0]);
    if (position < 0) {
      const child = new Node<Handler>(Uint8Array.from(rest));
      node.children.push(child);
      return child;
    }
    const child = node.children[position]!;
    const common = commonLength(child.prefix, rest);
    assert(common > 0, "a chosen child shares at least one byte");
    if (common < child.prefix.length) {
      const middle = new Node<Handler>(child.prefix.slice(0, common));
      child.prefix = child.prefix.slice(common);
      child.first = child.prefix[0]!;
      middle.children.push(child);
      node.children[position] = middle;
      node = middle;
    } else {
      node = child;
    }
    rest = rest.subarray(common);
  }
  return node;
}

function commonLength(left: Uint8Array, right: Uint8Array): number {
  const most = Math.min(left.length, right.length);
  let index = 0;
  while (index < most && left[index] === right[index]) index += 1;
  return index;
}

function newLeaf<Handler>(): RouteLeaf<Handler> {
  return { routes: new Array<Route<Handler> | undefined>(METHOD_COUNT).fill(undefined), any: undefined };
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function upperHex(digit: number): number {
  return digit < 10 ? 0x30 + digit : 0x37 + digit;
}
