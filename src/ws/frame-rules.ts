/** What RFC 6455 forbids in the header of a frame (sections 5.1, 5.2, 5.4 and 5.5), and RFC 7692 with it. */
import {
  BIT_CONTROL,
  BIT_DEFLATED,
  BIT_FIN,
  BIT_MASKED,
  BITS_OPCODE,
  BITS_RESERVED,
  CONTROL_BYTES_MAX,
  OPCODE_BINARY,
  OPCODE_CLOSE,
  OPCODE_CONTINUATION,
  OPCODE_PING,
  OPCODE_PONG,
  OPCODE_TEXT,
} from "./frame.js";

/** Where in its stream of frames a socket is, as bits. */
export const FRAMES = {
  /** A message in fragments has begun. */
  inMessage: 1,
  /** Our close frame has been sent. */
  afterClose: 2,
  /** Compression was agreed on. */
  mayBeDeflated: 4,
  /** The peer is a server, whose frames have no mask. */
  fromServer: 8,
} as const;

/** What is wrong with a frame by its first two bytes and its length (-1 is one in a form that it may not have); the empty string is nothing. `state` is of {@link FRAMES}. */
export function frameProblem(first: number, second: number, length: number, state: number): string {
  const opcode = first & BITS_OPCODE;
  const reserved = first & BITS_RESERVED;
  if (reserved !== 0 && !(reserved === BIT_DEFLATED && (state & FRAMES.mayBeDeflated) !== 0 && beginsMessage(opcode)))
    return "A reserved bit is set";
  const isFromServer = (state & FRAMES.fromServer) !== 0;
  if (((second & BIT_MASKED) === 0) !== isFromServer)
    return isFromServer ? "A frame of a server is masked" : "A frame of a client is not masked";
  if (length < 0) return "A length is not in its shortest form";
  switch (opcode) {
    case OPCODE_CONTINUATION:
      return (state & (FRAMES.inMessage | FRAMES.afterClose)) === 0 ? "A continuation continues nothing" : "";
    case OPCODE_TEXT:
    case OPCODE_BINARY:
      return (state & FRAMES.inMessage) === 0 ? "" : "A message begins inside of another";
    case OPCODE_CLOSE:
    case OPCODE_PING:
    case OPCODE_PONG:
      if ((first & BIT_FIN) === 0) return "A control frame is fragmented";
      return length > CONTROL_BYTES_MAX ? "A control frame is too long" : "";
    default:
      return `Opcode ${opcode} is unknown`;
  }
}

/** The bit stands in the first frame of a message alone (RFC 7692, section 6.1). */
function beginsMessage(opcode: number): boolean {
  return opcode !== OPCODE_CONTINUATION && (opcode & BIT_CONTROL) === 0;
}
