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
  children: Node<Handler>[] = [];
  param: Node<Handler> | undefined = undefined;
  leaf: RouteLeaf<Handler> | undefined = undefined;
  wildcard: RouteLeaf<Handler> | undefined = undefined;

  constructor(prefix: Uint8Array) {
    this.prefix = prefix;
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

  #walk(
    node: Node<Handler>,
    head: RequestHead,
    path: Buffer,
    start: number,
    end: number,
    params: number,
  ): Route<Handler> | undefined {
    const prefix = node.prefix;
    const length = prefix.length;
    if (end - start < length) return undefined;
    for (let index = 0; index < length; index++) {
      if (path[start + index] !== prefix[index]) return undefined;
    }
    const position = start + length;
    if (position === end) {
      if (node.leaf !== undefined) {
        const route = this.#select(node.leaf, head, params);
        if (route !== undefined) return route;
      }
    } else {
      const first = path[position];
      const { children } = node;
      for (let index = 0; index < children.length; index++) {
        const child = children[index]!;
        if (child.prefix[0] !== first) continue;
        const route = this.#walk(child, head, path, position, end, params);
        if (route !== undefined) return route;
        break;
      }
      if (node.param !== undefined && first !== SLASH) {
        let segmentEnd = position + 1;
        while (segmentEnd < end && path[segmentEnd] !== SLASH) segmentEnd += 1;
        const route = this.#walk(node.param, head, path, segmentEnd, end, params + 1);
        if (route !== undefined) {
          head.params[params * 2] = position;
          head.params[params * 2 + 1] = segmentEnd - position;
          return route;
        }
      }
    }
    if (node.wildcard === undefined) return undefined;
    const route = this.#select(node.wildcard, head, params + 1);
    if (route === undefined) return undefined;
    head.params[params * 2] = position;
    head.params[params * 2 + 1] = end - position;
    return route;
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

function insertStatic<Handler>(start: Node<Handler>, text: Uint8Array): Node<Handler> {
  let node = start;
  let rest = text;
  while (rest.length > 0) {
    const position = node.children.findIndex((child) => child.prefix[0] === rest[0]);
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
