/** Sends the body of a request that is a stream, at the pace of the server. */
import type { BodySink } from "../http/response-body.js";
import type { Transport } from "./transport.js";

/** Who hears how it goes. */
export interface UploadOwner {
  /** Bytes have left. */
  uploadGoesOn(): void;
  /** The source failed. */
  uploadFailed(error: Error): void;
}

/** One body. */
export class Upload implements BodySink {
  /** Whether it has come to its end, or was stopped. */
  isOver = false;
  readonly #transport: Transport;
  readonly #owner: UploadOwner;
  readonly #isChunked: boolean;
  #onAborted: (() => void) | undefined;
  #whenRoom: (() => void) | undefined;

  constructor(transport: Transport, owner: UploadOwner, isChunked: boolean) {
    this.#transport = transport;
    this.#owner = owner;
    this.#isChunked = isChunked;
  }

  write(bytes: Uint8Array): boolean {
    if (this.isOver) return true;
    this.#owner.uploadGoesOn();
    const transport = this.#transport;
    if (!this.#isChunked) return transport.write(bytes);
    transport.writeText(`${bytes.length.toString(16)}\r\n`);
    transport.write(bytes);
    return transport.writeText("\r\n");
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isOver) resolve();
      else this.#whenRoom = resolve;
    });
  }

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#owner.uploadGoesOn();
    if (this.#isChunked) this.#transport.writeText("0\r\n\r\n");
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#owner.uploadFailed(error instanceof Error ? error : new Error(String(error), { cause: error }));
  }

  onAborted(listener: () => void): void {
    if (this.isOver) listener();
    else this.#onAborted = listener;
  }

  /** The transport has room again. */
  hasRoom(): void {
    const proceed = this.#whenRoom;
    this.#whenRoom = undefined;
    proceed?.();
  }

  /** The rest is not wanted: the source is told. */
  stop(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#onAborted?.();
    this.hasRoom();
  }
}
