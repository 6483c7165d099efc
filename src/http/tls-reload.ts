/** New certificates for the shards of a running server: each reads the files again when the main thread says so. */

import { RingloomError } from "../errors.js";
import { shardFunction } from "../runtime/shard-functions.js";
import type { Supervisor } from "../runtime/supervisor.js";
import { TlsAcceptor } from "../tls/acceptor.js";
import { readTlsFiles, type TlsFiles } from "../tls/tls-files.js";

let current: { readonly acceptor: TlsAcceptor; readonly files: TlsFiles } | undefined;

/** Makes the acceptor of this shard, out of files that it may be told to read again. Throws `ERR_RINGLOOM_INVALID_OPTION`. */
export function acceptorOf(files: TlsFiles | undefined): TlsAcceptor | undefined {
  if (files === undefined) return undefined;
  const acceptor = new TlsAcceptor(readTlsFiles(files));
  current = { acceptor, files };
  return acceptor;
}

/** Called by the main thread. */
const reloadShard = shardFunction("ringloom:reload-tls", (): void => {
  if (current === undefined) return;
  const { cert, key, sni, ca } = readTlsFiles(current.files);
  // Names that no certificate has any more are gone, too.
  current.acceptor.reload({ cert, key, sni: sni ?? {}, ca });
});

/** Has every shard read its certificates again; connections go on as they are. Rejects, before any shard is told, when they cannot be read. */
export async function reloadSupervised(supervisor: Supervisor): Promise<void> {
  const files = supervisor.tls;
  if (files === undefined)
    throw new RingloomError("ERR_RINGLOOM_UNSUPPORTED", "Cannot reload certificates: the server speaks no TLS", {
      operation: "reloadTls",
    });
  new TlsAcceptor(readTlsFiles(files));
  const shards = Array.from({ length: supervisor.sizing.shards }, (_, shard) => shard);
  await Promise.all(shards.map((shard) => supervisor.invokeOnShard(reloadShard.name, { shard })));
}
