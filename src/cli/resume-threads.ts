/**
 * Lets threads go on that a debugger has stopped. `worker.terminate()` does not reach a thread that waits at a breakpoint, so `ringloom dev` could neither
 * restart nor end while somebody looks at variables.
 */
import { Session } from "node:inspector";

interface Attached {
  readonly sessionId: string;
}

/** Resumes every stopped worker thread of this process, also those that stop again while this session lasts. Returns a function that ends it. */
export function resumeThreads(): () => void {
  const session = new Session();
  session.connect();
  session.on("NodeWorker.attachedToWorker", ({ params }: { readonly params: Attached }) => {
    const commands = [
      { id: 1, method: "Debugger.enable" },
      { id: 2, method: "Debugger.setSkipAllPauses", params: { skip: true } },
      // Fails where the thread is not stopped, which is as well.
      { id: 3, method: "Debugger.resume" },
      { id: 4, method: "Runtime.runIfWaitingForDebugger" },
    ];
    for (const command of commands) {
      session.post("NodeWorker.sendMessageToWorker", {
        sessionId: params.sessionId,
        message: JSON.stringify(command),
      });
    }
  });
  session.post("NodeWorker.enable", { waitForDebuggerOnStart: false });
  return () => session.disconnect();
}
