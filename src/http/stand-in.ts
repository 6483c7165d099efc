/** A class, as far as its prototype, its name and `instanceof` go. */
interface AnyClass {
  readonly name: string;
  readonly prototype: object;
}

/**
 * Lets instances of `light` pass for those of the platform's class `native`: they are its instances, `light` has its name, and
 * where `light` takes its place as a global, native ones are instances of that too.
 */
export function standInFor(light: AnyClass, native: AnyClass): void {
  Object.setPrototypeOf(light.prototype, native.prototype);
  Object.defineProperty(light, "name", { value: native.name, configurable: true });
  const ordinary = Function.prototype[Symbol.hasInstance];
  Object.defineProperty(light, Symbol.hasInstance, {
    configurable: true,
    // A subclass inherits this function and answers for itself.
    value(this: unknown, value: unknown): boolean {
      return ordinary.call(this === light ? native : this, value);
    },
  });
}
