/** Types that the compiler's `es2023` library and `@types/node` leave out. */

interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
  /** Node's own decoder behind `toString("latin1", start, end)`, without the encoding lookup; and `toString("utf8", start, end)`. */
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
  /** Node's own encoders behind `write(text, offset, length, encoding)`. They return how many bytes they wrote. */
  latin1Write(text: string, offset: number, length: number): number;
  utf8Write(text: string, offset: number, length: number): number;
}

declare namespace WebAssembly {
  function validate(bytes: ArrayBufferView): boolean;
  class Module {
    constructor(bytes: ArrayBufferView);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, Memory | ((...words: number[]) => number)>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
}
