import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveCompression, type WebSocketCompression } from "./compression-options.js";
import { acceptDeflate, deflateAnswer, deflateOffer } from "./deflate-agreement.js";
import { parseExtensions } from "./extensions.js";

const BOTH = { serverContextTakeover: true, clientContextTakeover: true };

function settings(options: WebSocketCompression | true) {
  const resolved = resolveCompression(options);
  assert.ok(resolved !== undefined);
  return resolved;
}

function accept(offer: string, options: WebSocketCompression | true = true, room = Number.POSITIVE_INFINITY) {
  return acceptDeflate(offer, { settings: settings(options), hasRoom: (bytes) => bytes <= room });
}

test("parseExtensions() reads lists, parameters and quoted values, and nothing else", () => {
  const list = parseExtensions('a; b; c=1 ; d="x-y", e');
  assert.deepEqual(
    list?.map(({ name, parameters }) => [name, ...parameters]),
    [["a", ["b", true], ["c", "1"], ["d", "x-y"]], ["e"]],
  );
  assert.equal(parseExtensions("a; b; b=2")?.[0]?.hasDuplicates, true);
  for (const bad of ["", ",", "a,", "a;", "a; =1", "a b", 'a; b="x y"', 'a; b="', "a; b=", "a; b==1", "a@"])
    assert.equal(parseExtensions(bad), undefined, bad);
});

test("acceptDeflate() grants what the RFC says a server has to, and no more than its settings", () => {
  const none = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
  const cases: readonly [string, WebSocketCompression | true, string | undefined][] = [
    ["permessage-deflate", true, none],
    ["permessage-deflate; client_max_window_bits", true, none],
    ["permessage-deflate", BOTH, "permessage-deflate"],
    ["permessage-deflate; server_no_context_takeover", BOTH, "permessage-deflate; server_no_context_takeover"],
    ["permessage-deflate; server_max_window_bits=10", BOTH, "permessage-deflate; server_max_window_bits=10"],
    ["permessage-deflate; server_max_window_bits=8", BOTH, "permessage-deflate; server_max_window_bits=8"],
    [
      "permessage-deflate; server_max_window_bits=12",
      { ...BOTH, serverWindowBits: 9 },
      "permessage-deflate; server_max_window_bits=9",
    ],
    ["permessage-deflate", { ...BOTH, clientWindowBits: 9 }, "permessage-deflate"],
    [
      "permessage-deflate; client_max_window_bits",
      { ...BOTH, clientWindowBits: 9 },
      "permessage-deflate; client_max_window_bits=9",
    ],
    [
      "permessage-deflate; client_max_window_bits=11",
      { ...BOTH, clientWindowBits: 12 },
      "permessage-deflate; client_max_window_bits=11",
    ],
    // What cannot be accepted is passed over, for the next offer.
    ["permessage-deflate; server_max_window_bits=16, permessage-deflate", BOTH, "permessage-deflate"],
    ["x-webkit-deflate-frame, permessage-deflate; unknown", BOTH, undefined],
    ["permessage-deflate; server_max_window_bits", BOTH, undefined],
    ["permessage-deflate; server_max_window_bits=08", BOTH, undefined],
    ["permessage-deflate; client_max_window_bits=7", BOTH, undefined],
    ["permessage-deflate; server_no_context_takeover=1", BOTH, undefined],
    ["permessage-deflate; server_no_context_takeover; server_no_context_takeover", BOTH, undefined],
    ["", BOTH, undefined],
  ];
  for (const [offer, options, answer] of cases) assert.equal(accept(offer, options)?.field, answer, offer);
  const narrow = accept("permessage-deflate", { ...BOTH, clientWindowBits: 9 });
  assert.equal(narrow?.agreement.receiving.windowBits, 15, "who does not say that it can do with less may use all");
});

test("acceptDeflate() gives no windows when there is no room for them", () => {
  const offer = "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9";
  assert.equal(accept(offer, BOTH, 1_024)?.agreement.sending.keepsContext, true);
  const without = accept(offer, BOTH, 1_023);
  assert.deepEqual(without?.agreement, {
    sending: { windowBits: 9, keepsContext: false },
    receiving: { windowBits: 9, keepsContext: false },
  });
  assert.match(without?.field ?? "", /server_no_context_takeover; client_no_context_takeover/);
});

test("deflateAnswer() understands what acceptDeflate() says to deflateOffer(), and fails for what was not offered", () => {
  for (const options of [true, BOTH, { ...BOTH, serverWindowBits: 10, clientWindowBits: 11 }] as const) {
    const client = settings(options);
    const accepted = accept(deflateOffer(client), BOTH);
    const understood = deflateAnswer(accepted?.field, client);
    assert.deepEqual(understood, { sending: accepted?.agreement.receiving, receiving: accepted?.agreement.sending });
  }
  assert.equal(deflateAnswer(undefined, settings(true)), undefined);
  const wrong: readonly [string, WebSocketCompression | true | undefined][] = [
    ["permessage-deflate", undefined],
    ["permessage-deflate", true],
    ["permessage-deflate, permessage-deflate", BOTH],
    ["other", BOTH],
    ["permessage-deflate; client_max_window_bits", BOTH],
    ["permessage-deflate; server_max_window_bits=15", { ...BOTH, serverWindowBits: 12 }],
    ["permessage-deflate; server_max_window_bits=99", BOTH],
    ["permessage-deflate;", BOTH],
  ];
  for (const [answer, options] of wrong) {
    const told = deflateAnswer(answer, options === undefined ? undefined : settings(options));
    assert.equal(typeof told, "string", answer);
  }
});

test("resolveCompression() refuses what is none of its options", () => {
  assert.equal(resolveCompression(false), undefined);
  const wrong = [{ level: 0 }, { level: 1.5 }, { serverWindowBits: 8 }, { threshold: 1 }, { thresholdBytes: -1 }];
  for (const one of [...wrong, { serverContextTakeover: 1 }, "yes", null, { contextBytesMax: Number.NaN }])
    assert.throws(() => resolveCompression(one as WebSocketCompression), { code: "ERR_RINGLOOM_INVALID_OPTION" });
});
