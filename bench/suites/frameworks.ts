/** The suite `frameworks`: the same programs on node:http and on Ringloom, so that what moving in one line gives, and what it costs against our own server, is seen. */
import { peerVersion } from "../harness/prepare.js";
import type { Metric } from "../harness/rows.js";
import { httpSubjects, ringloom, type Subject } from "../harness/subjects.js";
import type { Suite } from "../harness/suite.js";
import { runServers, serverMetrics } from "./http.js";
import { httpCases } from "./http-cases.js";

const CASES = ["hello-c64", "json-c64", "post1k-c64"];

const cases = httpCases.filter(({ name }) => CASES.includes(name));
const subjects: readonly Subject[] = [
  ...httpSubjects.filter(({ name }) => ["node-http", "ringloom", "fastify", "hono"].includes(name)),
  ringloom("node-ringloom", "the listener of node-http served by Ringloom", "node-listener.js", "uring"),
  ringloom("node-fallback", "the same listener behind App.fallback", "node-fallback.js", "uring"),
  {
    name: "express",
    about: () => `express ${peerVersion("express")}, Node ${process.versions.node}`,
    needs: ["peers"],
    executable: process.execPath,
    isNode: true,
    args: ["bench/peers/express.js"],
  },
  ringloom("express-ringloom", "the same express app served by Ringloom", "express.js", "uring", { needs: ["peers"] }),
  ringloom("express-fallback", "the same express app behind App.fallback", "express-fallback.js", "uring", {
    needs: ["peers"],
  }),
  ringloom("fastify-ringloom", "the same fastify app served by Ringloom", "fastify.js", "uring", { needs: ["peers"] }),
  ringloom("fastify-fallback", "the same fastify app behind App.fallback", "fastify-fallback.js", "uring", {
    needs: ["peers"],
  }),
  ringloom("hono-ringloom", "the same Hono app as a fetch handler of Ringloom", "hono.js", "uring", {
    needs: ["peers"],
  }),
];

const requestRate = serverMetrics.find(({ name }) => name === "req/s") as Metric;

/** The suite. */
export const frameworksSuite: Suite = {
  name: "frameworks",
  about: "express, fastify, Hono and a plain listener on node:http and on Ringloom, one server on one core",
  cases,
  subjects,
  metrics: serverMetrics,
  comparisons: [{ metric: requestRate.name, base: "node-http" }],
  plotted: [requestRate.name],
  goals: [],
  run: (context) => runServers(context, cases, subjects),
};
