/** What both ends agree on for permessage-deflate: RFC 7692, sections 5 and 7.1. */
import type { CompressionSettings } from "./compression-options.js";
import { type Extension, parseExtensions } from "./extensions.js";

const NAME = "permessage-deflate";
const SERVER_NO_CONTEXT = "server_no_context_takeover";
const CLIENT_NO_CONTEXT = "client_no_context_takeover";
const SERVER_BITS = "server_max_window_bits";
const CLIENT_BITS = "client_max_window_bits";
const WINDOW_BITS_MAX = 15;

/** One direction: how far back its data refers, and whether to earlier messages. */
export interface DeflateDirection {
  readonly windowBits: number;
  readonly keepsContext: boolean;
}

/** Both, as one end sees them. */
export interface DeflateAgreement {
  readonly sending: DeflateDirection;
  readonly receiving: DeflateDirection;
}

/** An agreement and how the server words it. */
export interface AcceptedDeflate {
  readonly agreement: DeflateAgreement;
  readonly field: string;
}

/** What a server allows. */
export interface DeflateTerms {
  readonly settings: CompressionSettings;
  /** Whether a socket may keep so many bytes of windows. */
  hasRoom(bytes: number): boolean;
}

/** A server's choice among what a client offers: the first offer that it can accept; undefined where there is none, and where the field is malformed. */
export function acceptDeflate(field: string | undefined, terms: DeflateTerms): AcceptedDeflate | undefined {
  const offer = parseExtensions(field)?.find((one) => one.name === NAME && isOffer(one));
  return offer === undefined ? undefined : accept(offer, terms);
}

/** Bytes of windows that a socket keeps under an agreement, at most. */
export function contextBytes({ sending, receiving }: DeflateAgreement): number {
  return windowBytes(sending) + windowBytes(receiving);
}

/** Bytes of one direction. */
export function windowBytes({ windowBits, keepsContext }: DeflateDirection): number {
  return keepsContext ? 1 << windowBits : 0;
}

/** A client's offer. */
export function deflateOffer(settings: CompressionSettings): string {
  const { serverContextTakeover, clientContextTakeover, serverWindowBits, clientWindowBits } = settings;
  const parts = [NAME];
  if (!serverContextTakeover) parts.push(SERVER_NO_CONTEXT);
  if (!clientContextTakeover) parts.push(CLIENT_NO_CONTEXT);
  if (serverWindowBits < WINDOW_BITS_MAX) parts.push(`${SERVER_BITS}=${serverWindowBits}`);
  parts.push(clientWindowBits < WINDOW_BITS_MAX ? `${CLIENT_BITS}=${clientWindowBits}` : CLIENT_BITS);
  return parts.join("; ");
}

/**
 * What a server's answer to {@link deflateOffer} means; undefined where it has declined. A string says what is wrong with the answer: then the handshake fails. Without an offer (`settings` undefined) any extension is wrong.
 */
export function deflateAnswer(
  field: string | undefined,
  settings: CompressionSettings | undefined,
): DeflateAgreement | string | undefined {
  const answers = parseExtensions(field);
  if (answers === undefined) return "the Sec-WebSocket-Extensions is malformed";
  const [answer] = answers;
  if (answer === undefined) return undefined;
  if (settings === undefined || answers.length > 1 || answer.name !== NAME)
    return `the server answers with extensions that were not offered: ${field}`;
  const serverBits = bitsOf(answer, SERVER_BITS);
  const clientBits = bitsOf(answer, CLIENT_BITS);
  const isValid =
    hasOnlyKnown(answer) &&
    serverBits !== undefined &&
    clientBits !== undefined &&
    answer.parameters.get(CLIENT_BITS) !== true &&
    answer.parameters.get(SERVER_BITS) !== true &&
    // It has to grant what was asked for, and may not ask for more than the client said it would do.
    (settings.serverContextTakeover || answer.parameters.has(SERVER_NO_CONTEXT)) &&
    serverBits <= settings.serverWindowBits;
  if (!isValid) return `the server answers the offer of ${NAME} with ${field}`;
  return {
    sending: {
      windowBits: Math.min(clientBits, settings.clientWindowBits),
      keepsContext: settings.clientContextTakeover && !answer.parameters.has(CLIENT_NO_CONTEXT),
    },
    receiving: { windowBits: serverBits, keepsContext: !answer.parameters.has(SERVER_NO_CONTEXT) },
  };
}

function accept({ parameters }: Extension, { settings, hasRoom }: DeflateTerms): AcceptedDeflate {
  const offered = (name: string): number => Number(parameters.get(name) ?? WINDOW_BITS_MAX);
  const sendingBits = Math.min(offered(SERVER_BITS), settings.serverWindowBits);
  // A client that does not say that it can do with less may use all of it.
  const canLimit = parameters.has(CLIENT_BITS);
  const clientMax = parameters.get(CLIENT_BITS) === true ? WINDOW_BITS_MAX : offered(CLIENT_BITS);
  const receivingBits = canLimit ? Math.min(clientMax, settings.clientWindowBits) : WINDOW_BITS_MAX;
  const wished: DeflateAgreement = {
    sending: {
      windowBits: sendingBits,
      keepsContext: settings.serverContextTakeover && !parameters.has(SERVER_NO_CONTEXT),
    },
    receiving: {
      windowBits: receivingBits,
      keepsContext: settings.clientContextTakeover && !parameters.has(CLIENT_NO_CONTEXT),
    },
  };
  const agreement = hasRoom(contextBytes(wished)) ? wished : withoutContexts(wished);
  const parts = [NAME];
  if (!agreement.sending.keepsContext) parts.push(SERVER_NO_CONTEXT);
  if (!agreement.receiving.keepsContext) parts.push(CLIENT_NO_CONTEXT);
  if (parameters.has(SERVER_BITS) || sendingBits < WINDOW_BITS_MAX) parts.push(`${SERVER_BITS}=${sendingBits}`);
  if (canLimit && receivingBits < WINDOW_BITS_MAX) parts.push(`${CLIENT_BITS}=${receivingBits}`);
  return { agreement, field: parts.join("; ") };
}

function withoutContexts({ sending, receiving }: DeflateAgreement): DeflateAgreement {
  return { sending: { ...sending, keepsContext: false }, receiving: { ...receiving, keepsContext: false } };
}

/** Whether an offer has known parameters only, each with a value that it may have (RFC 7692, section 7.1). */
function isOffer(offer: Extension): boolean {
  return (
    hasOnlyKnown(offer) &&
    offer.parameters.get(SERVER_BITS) !== true &&
    bitsOf(offer, SERVER_BITS) !== undefined &&
    bitsOf(offer, CLIENT_BITS) !== undefined
  );
}

function hasOnlyKnown({ parameters, hasDuplicates }: Extension): boolean {
  if (hasDuplicates) return false;
  for (const [name, value] of parameters) {
    if (name === SERVER_NO_CONTEXT || name === CLIENT_NO_CONTEXT) {
      if (value !== true) return false;
    } else if (name !== SERVER_BITS && name !== CLIENT_BITS) return false;
  }
  return true;
}

/** The bits that a parameter says; all of them where it is not there or says nothing; undefined for what is no such number. */
function bitsOf({ parameters }: Extension, name: string): number | undefined {
  const value = parameters.get(name);
  if (value === undefined || value === true) return WINDOW_BITS_MAX;
  return /^(?:8|9|1[0-5])$/.test(value) ? Number(value) : undefined;
}
