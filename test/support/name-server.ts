/** A name server on a port of the loopback that says what a test wants it to say, over UDP. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import dnsPacket, { type Answer } from "dns-packet";

/** What it knows of a name: answers, `none` (the name has no such record), `refuse`, `fail`, or `drop`, which answers nothing. */
export type Known = readonly Answer[] | "none" | "refuse" | "fail" | "drop";

const REFUSED = 5;
const SERVER_FAILED = 2;
const NO_SUCH_NAME = 3;

export class NameServer {
  /** By `TYPE name`; what is not in it does not exist. */
  readonly known = new Map<string, Known>();
  /** Every question, as `TYPE name`. */
  readonly asked: string[] = [];
  /** Answers wait while this is set, and leave with `release`. */
  holds = false;
  readonly #held: (() => void)[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, from) => this.#answer(message, from));
  }

  static async open(): Promise<NameServer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new NameServer(socket);
  }

  /** As the resolver's option `servers` wants it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** An address of a name, with its time to live in seconds. */
  host(name: string, addresses: readonly string[], ttl = 60): void {
    for (const type of ["A", "AAAA"] as const) {
      const own = addresses.filter((address) => address.includes(":") === (type === "AAAA"));
      const answers = own.map((data): Answer => ({ type, name, ttl, data }));
      this.known.set(`${type} ${name}`, answers.length === 0 ? "none" : answers);
    }
  }

  countOf(question: string): number {
    return this.asked.filter((one) => one === question).length;
  }

  /** Answers all questions that wait. */
  release(): void {
    this.holds = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  async close(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }

  #answer(message: Buffer, from: RemoteInfo): void {
    const { id, questions = [] } = dnsPacket.decode(message);
    const [question] = questions;
    if (question === undefined) return;
    const key = `${question.type} ${question.name.toLowerCase()}`;
    this.asked.push(key);
    const known = this.known.get(key);
    if (known === "drop") return;
    const send = () => {
      const packet = dnsPacket.encode({
        type: "response",
        ...(id === undefined ? {} : { id }),
        flags: dnsPacket.RECURSION_DESIRED | dnsPacket.RECURSION_AVAILABLE | codeOf(known),
        questions,
        answers: typeof known === "object" ? [...known] : [],
      });
      this.#socket.send(packet, from.port, from.address);
    };
    if (this.holds) this.#held.push(send);
    else send();
  }
}

function codeOf(known: Known | undefined): number {
  if (known === undefined) return NO_SUCH_NAME;
  if (known === "refuse") return REFUSED;
  return known === "fail" ? SERVER_FAILED : 0;
}
