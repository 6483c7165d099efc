/** How messages are compressed: the options of permessage-deflate, with their defaults. */
import { RingloomError } from "../errors.js";

/**
 * Compression of messages (permessage-deflate, RFC 7692). What both ends agree on in the handshake may be less than what is asked for here. `true` is all defaults.
 *
 * Without context takeover, the default, each message is compressed for itself, and an idle socket keeps nothing for it. With it, messages may refer to earlier ones of their direction, which
 * makes short and similar ones much smaller, and costs each socket the window of that direction.
 * @experimental
 */
export interface WebSocketCompression {
  /** Shorter messages are sent as they are, in bytes: to compress them costs more than it saves. Default 1,024. */
  readonly thresholdBytes?: number;
  /** How hard to try: 1 is fastest, 9 is smallest. Default 6. */
  readonly level?: number;
  /** Whether what the server sends may refer to its earlier messages. Default false. */
  readonly serverContextTakeover?: boolean;
  /** Whether what the client sends may refer to its earlier messages. Default false. */
  readonly clientContextTakeover?: boolean;
  /** How far back the server's data refers, as a power of two of bytes: 9 to 15. Default 15. */
  readonly serverWindowBits?: number;
  /** How far back the client's data refers, as a power of two of bytes: 9 to 15. Default 15. */
  readonly clientWindowBits?: number;
  /** What the windows of all sockets of the route may take together, on each shard, in bytes. A socket for whose windows there is no room has no context takeover. Default 16 MiB. */
  readonly contextBytesMax?: number;
}

/** All of them, checked. */
export type CompressionSettings = Required<WebSocketCompression>;

const DEFAULTS: CompressionSettings = {
  thresholdBytes: 1_024,
  level: 6,
  serverContextTakeover: false,
  clientContextTakeover: false,
  serverWindowBits: 15,
  clientWindowBits: 15,
  contextBytesMax: 16 * 1024 * 1024,
};

const RANGES: Readonly<Record<string, readonly [number, number]>> = {
  thresholdBytes: [0, Number.MAX_SAFE_INTEGER],
  level: [1, 9],
  serverWindowBits: [9, 15],
  clientWindowBits: [9, 15],
  contextBytesMax: [0, Number.MAX_SAFE_INTEGER],
};

/** Fills in the defaults; undefined is no compression. Throws `ERR_RINGLOOM_INVALID_OPTION` for what is none of it. */
export function resolveCompression(
  compression: WebSocketCompression | boolean | undefined,
): CompressionSettings | undefined {
  if (compression === undefined || compression === false) return undefined;
  if (compression === true) return DEFAULTS;
  if (typeof compression !== "object" || compression === null)
    throw invalid("compression", compression, "an object or a boolean is allowed");
  const settings: Record<string, unknown> = { ...DEFAULTS };
  for (const [name, value] of Object.entries(compression)) {
    if (value === undefined) continue;
    if (!(name in DEFAULTS)) throw invalid(name, value, `there are ${Object.keys(DEFAULTS).join(", ")}`);
    const range = RANGES[name];
    if (range === undefined) {
      if (typeof value !== "boolean") throw invalid(name, value, "true or false is allowed");
    } else if (!Number.isSafeInteger(value) || value < range[0] || value > range[1]) {
      throw invalid(name, value, `a whole number from ${range[0]} to ${range[1]} is allowed`);
    }
    settings[name] = value;
  }
  return settings as unknown as CompressionSettings;
}

function invalid(option: string, value: unknown, why: string): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot compress messages with ${option} ${String(value)}: ${why}`,
    { operation: "compress messages", details: { option, value } },
  );
}
