/** The cases of the suites `http` and `heap`. Names are stable: results of different days are compared by them. */
import type { HttpCase } from "../harness/load.js";

const JSON_TEXT = JSON.stringify({ message: "hello", id: 42, tags: ["a", "b", "c"], nested: { ok: true, ratio: 0.5 } });

/** Twenty headers as a browser sends them, about 1,100 bytes. */
const BROWSER_HEADERS: readonly string[] = [
  "Connection: keep-alive",
  "Cache-Control: max-age=0",
  'sec-ch-ua: "Chromium";v="136", "Not.A/Brand";v="99", "Google Chrome";v="136"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "DNT: 1",
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-User: ?1",
  "Sec-Fetch-Dest: document",
  "Referer: https://www.example.com/products/list?category=books&page=2",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Cookie: session=f3b1c2d4e5f60718293a4b5c6d7e8f90; theme=dark; _ga=GA1.1.1234567890.1700000000; consent=yes",
  "X-Requested-With: XMLHttpRequest",
  'If-None-Match: W/"5f3-18c2a9b4d10"',
  "Priority: u=0, i",
];

/** `GET /hello/ada` over so many connections, so many requests in one piece. */
function hello(name: string, connections: number, depth: number, headers: readonly string[] = []): HttpCase {
  const requests = depth === 1 ? "one request at a time" : `${depth} requests pipelined`;
  const extra = headers.length === 0 ? "" : `, ${headers.length} more headers like a browser's`;
  const people = connections === 1 ? "1 connection" : `${connections} connections`;
  return {
    name,
    about: `GET /hello/ada, ${people}, ${requests}${extra}`,
    connections,
    depth,
    path: "/hello/ada",
    headers,
    bodyBytes: undefined,
    expectBody: "hello ada",
    expectType: "text/plain",
  };
}

/** The cases of the suite `http`. */
export const httpCases: readonly HttpCase[] = [
  hello("hello-c64", 64, 1),
  hello("hello-c1", 1, 1),
  hello("hello-p16", 64, 16),
  hello("headers20-c64", 64, 1, BROWSER_HEADERS),
  {
    ...hello("json-c64", 64, 1),
    about: `GET /json, a ${JSON_TEXT.length}-byte object serialised anew each time, 64 connections, one request at a time`,
    path: "/json",
    expectBody: JSON_TEXT,
    expectType: "application/json",
  },
  {
    ...hello("post1k-c64", 64, 1),
    about: "POST /echo-length with 1,024 bytes, answered with their number, 64 connections, one request at a time",
    path: "/echo-length",
    bodyBytes: 1_024,
    expectBody: "1024",
  },
];

/** The cases of the suite `heap`. */
export const heapCases: readonly HttpCase[] = [
  {
    ...hello("static-p16", 64, 16),
    about: "GET /static, a route without parameters, 64 connections, 16 requests pipelined",
    path: "/static",
    expectBody: "hello static",
  },
  hello("hello-p16", 64, 16),
];
