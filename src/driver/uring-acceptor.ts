/** How the `uring` driver accepts: one multishot ACCEPT a listener. */
import type { Ring } from "../ring/ring.js";
import { submitAccept, submitCancel } from "../ring/submissions.js";
import { KIND_ACCEPT, packUserData } from "../ring/user-data.js";
import type { Acceptor } from "./listeners.js";

/** The {@link Acceptor} of a ring. */
export function uringAcceptor(ring: Ring): Acceptor {
  return {
    native: ring.native,
    // io_uring fails an ACCEPT on a non-blocking socket where it would wait.
    isBlocking: true,
    start: (fd, index, id) => submitAccept(ring, fd, packUserData(KIND_ACCEPT, index), id),
    stop: (_, index, id) => {
      submitCancel(ring, packUserData(KIND_ACCEPT, index), id);
      return true;
    },
  };
}
