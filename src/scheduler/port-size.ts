/** About how many bytes a value takes while it is on its way by port: exact for what makes values large, strings of one-byte units and binary data. Shared memory counts nothing. */
const ELEMENT_BYTES = 9;
const OBJECT_BYTES = 16;

/** The size of a value in its port form (`port-form.ts`). A buffer counts once, however many views of it there are, and as a whole: those that are copied have no more than their own bytes in that form. */
export function portSize(value: unknown): number {
  const seen = new Set<object>();
  const left: object[] = [];
  let bytes = 0;

  function add(part: unknown): void {
    bytes += ELEMENT_BYTES;
    if (typeof part === "string") bytes += part.length;
    else if (typeof part === "object" && part !== null && !seen.has(part)) {
      seen.add(part);
      left.push(part);
    }
  }

  add(value);
  for (let object = left.pop(); object !== undefined; object = left.pop()) {
    bytes += OBJECT_BYTES;
    if (object instanceof ArrayBuffer) bytes += object.byteLength;
    else addParts(object, add);
  }
  return bytes;
}

function addParts(object: object, add: (part: unknown) => void): void {
  if (ArrayBuffer.isView(object)) return add(object.buffer);
  if (Array.isArray(object)) {
    for (const element of object as readonly unknown[]) add(element);
    return;
  }
  if (object instanceof Set) {
    for (const element of object) add(element);
    return;
  }
  if (object instanceof Map) {
    for (const [key, element] of object) {
      add(key);
      add(element);
    }
    return;
  }
  for (const key of Object.keys(object)) {
    // No getter runs twice: those of plain objects are gone in the port form.
    const found = Object.getOwnPropertyDescriptor(object, key);
    add(key);
    add(found !== undefined && "value" in found ? found.value : undefined);
  }
}
