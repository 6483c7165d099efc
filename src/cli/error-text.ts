/** Errors as people read them: what is wrong, the code, the user's own stack, and what to do. */
import { RingloomError } from "../errors.js";

/** The text of an error, several lines at most where a stack helps. */
export function errorText(error: unknown): string {
  if (!(error instanceof RingloomError)) {
    return `ringloom: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
  }
  const lines = [`ringloom: ${error.message} [${error.code}]`];
  // Our own frames help nobody, nor do Node's for a failed system call; the stack that counts is that of what the user's code threw.
  const isSystemCall = !error.code.startsWith("ERR_");
  const origin =
    error.cause instanceof Error && !isSystemCall ? error.cause : isForeign(error.code) ? error : undefined;
  if (origin?.stack !== undefined && origin.stack !== "") lines.push(indent(origin.stack));
  const hint = hintFor(error);
  if (hint !== "") lines.push(hint);
  return lines.join("\n");
}

/** Whether the code is not one of ours and not a failed system call of ours: then it comes from the module. */
function isForeign(code: string): boolean {
  return code === "ERR_RINGLOOM_SHARD_FAILED" || (code.startsWith("ERR_") && !/^ERR_(RINGLOOM|WORKER)_/.test(code));
}

function hintFor(error: RingloomError): string {
  switch (error.code) {
    case "EADDRINUSE":
      return "Another process listens there. Choose another port with --port; --port 0 takes a free one.";
    case "EACCES":
      return "Ports below net.ipv4.ip_unprivileged_port_start (usually 1024) need CAP_NET_BIND_SERVICE. Choose another with --port.";
    case "EADDRNOTAVAIL":
      return "No interface of this machine has that address. Choose another with --host.";
    case "ENOTFOUND":
      return "Choose another with --host.";
    case "ERR_RINGLOOM_DRIVER_UNAVAILABLE":
      return 'Run "ringloom doctor" for details.';
    case "ERR_RINGLOOM_NOT_AN_APP":
      return "Export an App or an object with a fetch method, or the app of another framework (docs/frameworks.md): export default app;";
    case "ERR_WORKER_OUT_OF_MEMORY":
      return "The shard reached its heap limit. Raise it with --heap-mib.";
    default:
      return "";
  }
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
