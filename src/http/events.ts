/** Server-sent events (HTML standard, section 9.2). */

/**
 * One event of a `text/event-stream`.
 * @experimental
 */
export interface ServerSentEvent {
  /** Sent as one `data` line per line of text. What is not text is sent as JSON. */
  readonly data?: unknown;
  /** Name of the event; `message` to the client when absent. */
  readonly event?: string;
  readonly id?: string;
  /** How long the client waits before it connects again, in milliseconds. */
  readonly retryMs?: number;
  /** A comment, ignored by clients: keeps proxies from closing a quiet stream. */
  readonly comment?: string;
}

/**
 * The text of an event.
 * Throws TypeError for a name or id with a line break, which would start another field.
 */
export function formatEvent(event: ServerSentEvent): string {
  let text = "";
  if (event.comment !== undefined) text += fieldLines("", event.comment);
  if (event.event !== undefined) text += `event: ${oneLine("event", event.event)}\n`;
  if (event.id !== undefined) text += `id: ${oneLine("id", event.id)}\n`;
  if (event.retryMs !== undefined) {
    if (!Number.isSafeInteger(event.retryMs) || event.retryMs < 0)
      throw new RangeError(`Cannot send an event: retryMs is ${event.retryMs}`);
    text += `retry: ${event.retryMs}\n`;
  }
  if (event.data !== undefined)
    text += fieldLines("data", typeof event.data === "string" ? event.data : JSON.stringify(event.data));
  return `${text}\n`;
}

/** The texts of events, one by one. */
export async function* formatEvents(
  events: AsyncIterable<ServerSentEvent> | Iterable<ServerSentEvent>,
): AsyncGenerator<string, void, undefined> {
  for await (const event of events) yield formatEvent(event);
}

function fieldLines(name: string, value: string): string {
  let text = "";
  for (const line of value.split(/\r\n|\r|\n/)) text += `${name}: ${line}\n`;
  return text;
}

function oneLine(name: string, value: string): string {
  if (/[\r\n\0]/.test(value)) throw new TypeError(`Cannot send an event: its ${name} has a line break or a NUL`);
  return value;
}
