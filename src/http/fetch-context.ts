import { ANSWER_WHOLE, Exchange, FLAG_CLOSE, FLAG_HAS_BODY, STATE_OPEN } from "./exchange.js";
import type { FetchExchange } from "./fetch-exchange.js";
import type { RequestBody } from "./request-body.js";
import type { BodySink } from "./response-body.js";
import { TYPE_NONE } from "./response-encoder.js";

/** The exchange of a web-standard handler. */
export class FetchContext extends Exchange implements FetchExchange {
  get requestBody(): RequestBody | undefined {
    return (this.flags & FLAG_HAS_BODY) === 0 ? undefined : this.owner.requestBody(this);
  }

  headText(): string {
    return this.liveHead().text();
  }

  answer(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    body: string | Uint8Array | null,
  ): void {
    if (!this.#record(status, contentType, headers)) return;
    this.answerKind = ANSWER_WHOLE;
    this.answerBody = body;
    this.owner.send(this);
  }

  answerStream(
    status: number,
    contentType: string | undefined,
    headers: readonly string[] | undefined,
    contentLength: number,
  ): BodySink | undefined {
    if (!this.#record(status, contentType, headers)) return undefined;
    return this.owner.sendHead(this, contentLength);
  }

  answerError(error: unknown): void {
    this.owner.fail(this, error);
  }

  closeAfterAnswer(): void {
    this.flags |= FLAG_CLOSE;
  }

  #record(status: number, contentType: string | undefined, headers: readonly string[] | undefined): boolean {
    if (this.state !== STATE_OPEN) {
      this.owner.countLate();
      return false;
    }
    this.answerStatus = status;
    this.answerHeaders = headers === undefined || headers.length === 0 ? undefined : (headers as string[]);
    this.answerType = TYPE_NONE;
    if (contentType === undefined) return true;
    const type = this.owner.typeIndex(contentType);
    if (type >= 0) this.answerType = type;
    else this.answerHeaders = ["content-type", contentType, ...(headers ?? [])];
    return true;
  }
}
