/** Which proxy is chosen. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromEnvironment, proxyChooser } from "./proxy.js";

function chosen(option: Parameters<typeof proxyChooser>[0], url: string): string | undefined {
  const { protocol, hostname, port } = new URL(url);
  const isSecure = protocol === "https:";
  const host = hostname.replace(/^\[|\]$/g, "");
  const proxy = proxyChooser(option).choose({ isSecure, host, port: Number(port || (isSecure ? 443 : 80)) });
  return proxy && `${proxy.isSecure ? "https" : "http"} ${proxy.host} ${proxy.port} ${proxy.authorization ?? "-"}`;
}

describe("proxyChooser()", () => {
  it("has one for each scheme", () => {
    const settings = { http: "http://a", https: "u:p@b:8080" };
    assert.equal(chosen(settings, "http://x/"), "http a 80 -");
    assert.equal(chosen(settings, "https://x/"), "http b 8080 Basic dTpw");
    assert.equal(chosen({ https: "https://[::1]" }, "https://x/"), "https ::1 443 -");
    assert.equal(chosen({ https: "b" }, "http://x/"), undefined);
    assert.equal(chosen("http://c:3", "https://x/"), "http c 3 -");
    assert.equal(chosen(false, "http://x/"), undefined);
  });

  it("knows exceptions", () => {
    const no = " .Example.com, 10.0.0.0/8 ,[::2],one.test:81,*.star.test";
    const direct = ["example.com", "a.b.example.com", "10.200.3.4", "[::2]", "one.test:81", "x.star.test"];
    const proxied = ["badexample.com", "11.0.0.1", "[::3]", "one.test", "example.com.evil"];
    for (const host of direct) assert.equal(chosen({ http: "p", no }, `http://${host}/`), undefined, host);
    for (const host of proxied) assert.equal(chosen({ http: "p", no }, `http://${host}/`), "http p 80 -", host);
    assert.equal(chosen({ http: "p", no: "*" }, "http://any/"), undefined);
  });

  it("refuses what is no URL of a proxy", () => {
    for (const http of ["http://", "socks5://a", "http://a:b:c"])
      assert.throws(() => proxyChooser({ http }), TypeError, http);
  });
});

describe("fromEnvironment()", () => {
  it("prefers lower case, and falls back to ALL_PROXY", () => {
    const all = { HTTP_PROXY: "a", http_proxy: "b", HTTPS_PROXY: "c", NO_PROXY: "n", all_proxy: "d" };
    assert.deepEqual(fromEnvironment(all), { http: "b", https: "c", no: "n" });
    assert.deepEqual(fromEnvironment({ ALL_PROXY: "d" }), { http: "d", https: "d", no: undefined });
    assert.deepEqual(fromEnvironment({ HTTP_PROXY: " " }), { http: undefined, https: undefined, no: undefined });
  });

  it("does not take the proxy from a request's field in a CGI program", () => {
    assert.equal(fromEnvironment({ REQUEST_METHOD: "GET", HTTP_PROXY: "evil" }).http, undefined);
    assert.equal(fromEnvironment({ REQUEST_METHOD: "GET", http_proxy: "good" }).http, "good");
  });
});
