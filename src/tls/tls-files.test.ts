import assert from "node:assert/strict";
import { test } from "node:test";
import { type TlsFileOptions, tlsFilesOf } from "./tls-files.js";

const PLAIN: TlsFileOptions = {
  tlsCert: "none",
  tlsKey: "none",
  tlsCa: "none",
  tlsRequestCert: "off",
  tlsMinVersion: "TLSv1.2",
  tlsHandshakeMs: 10_000,
};

test("options of TLS without a certificate are refused: nobody would be asked for anything", () => {
  assert.equal(tlsFilesOf(PLAIN), undefined);
  for (const more of [{ tlsCa: "ca.pem" }, { tlsRequestCert: "required" as const }, { tlsCert: "cert.pem" }])
    assert.throws(() => tlsFilesOf({ ...PLAIN, ...more }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
});
