/**
 * The form of values that go by port, so that the same rules hold as for those that the task codec carries: a Buffer stays a Buffer, and of a view its own bytes are copied, not all of its buffer.
 *
 * Structured clone makes a Buffer a Uint8Array, and copies the whole ArrayBuffer behind a view. So arrays and plain objects are copied here once, without what they hold, small views get a buffer of their own size, and the
 * places of Buffers are noted. What is in Maps, Sets and instances of classes is left to structured clone.
 */
import { DEPTH_MAX, VIEW_KINDS } from "./codec-format.js";

/** Where a Buffer was: the keys that lead to it. */
type Path = readonly (string | number)[];

/** A value, ready to be posted. */
export interface PortForm {
  readonly value: unknown;
  readonly buffers: readonly Path[];
}

const viewKinds = new Map(VIEW_KINDS.map((kind) => [kind.prototype, kind]));

/** Prepares a value. `kept` are the buffers that are handed over, so that their views stay as they are. Throws what a getter of the value throws. */
export function toPortForm(value: unknown, kept: ReadonlySet<object> = new Set()): PortForm {
  const buffers: Path[] = [];
  const copies = new Map<object, unknown>();

  function copy(source: unknown, path: Path): unknown {
    if (typeof source !== "object" || source === null) return source;
    if (Buffer.isBuffer(source)) buffers.push(path);
    const known = copies.get(source);
    if (known !== undefined) return known;
    if (ArrayBuffer.isView(source)) {
      const own = kept.has(source.buffer) ? source : ownBytes(source);
      copies.set(source, own);
      return own;
    }
    if (path.length >= DEPTH_MAX) return source;
    const prototype: unknown = Object.getPrototypeOf(source);
    if (Array.isArray(source)) return prototype === Array.prototype ? copyArray(source, path) : source;
    return prototype === Object.prototype || prototype === null ? copyPlain(source, path) : source;
  }

  function copyArray(source: readonly unknown[], path: Path): unknown[] {
    const target: unknown[] = [];
    copies.set(source, target);
    target.length = source.length;
    for (let index = 0; index < source.length; index++) {
      const element = source[index];
      if (isLeaf(element)) {
        if (element !== undefined || Object.hasOwn(source, index)) target[index] = element;
      } else target[index] = copy(element, [...path, index]);
    }
    return target;
  }

  function copyPlain(source: object, path: Path): object {
    const target: Record<string, unknown> = {};
    copies.set(source, target);
    for (const key of Object.keys(source)) {
      const element: unknown = Reflect.get(source, key);
      const value = isLeaf(element) ? element : copy(element, [...path, key]);
      // An assignment would call the setter of Object.prototype.
      if (key === "__proto__") {
        Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
      } else target[key] = value;
    }
    return target;
  }

  return { value: copy(value, []), buffers };
}

/** The value again, from what `postMessage` or `structuredClone` made of its form. */
export function fromPortForm({ value, buffers }: PortForm): unknown {
  const root = { value };
  for (const path of buffers) restore(root, ["value", ...path]);
  return root.value;
}

function restore(root: object, path: Path): void {
  let holder = root;
  for (const key of path.slice(0, -1)) holder = Reflect.get(holder, key) as object;
  const last = path[path.length - 1]!;
  const bytes: unknown = Reflect.get(holder, last);
  if (!(bytes instanceof Uint8Array)) return;
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  Object.defineProperty(holder, last, { value, writable: true, enumerable: true, configurable: true });
}

function isLeaf(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

/** A view of a copy of its own bytes, where its buffer has more. Shared memory crosses by reference, so it stays. */
function ownBytes(view: ArrayBufferView): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = view;
  if (!(buffer instanceof ArrayBuffer) || byteLength === buffer.byteLength) return view;
  const kind = viewKinds.get(Object.getPrototypeOf(view) as object);
  return kind === undefined ? view : kind.make(buffer.slice(byteOffset, byteOffset + byteLength));
}
