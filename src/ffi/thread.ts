/** The thread of JavaScript that this module runs on: whether it is a Worker's, and when it ends. */
import { isMainThread } from "node:worker_threads";
import { denoNamespace } from "./deno_namespace.ts";

/** Whether this is a Worker. To Deno's node:worker_threads, one that was made by the global `Worker` is none. */
export function isWorker(): boolean {
  return !isMainThread || "WorkerGlobalScope" in globalThis;
}

/**
 * Calls `action` once before this thread's JavaScript ends: when the program is through, and by `process.exit` or
 * `Deno.exit`. Nobody is told where an error that was not caught ends it, and of `Worker.terminate()`; nor, in Deno, of
 * a Worker's `close()`.
 */
export function beforeEnd(action: () => void): void {
  let hasEnded = false;
  const end = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    action();
  };
  process.on("exit", end);
  // Deno.exit tells the page's event alone.
  if (denoNamespace() !== undefined) globalThis.addEventListener("unload", end);
}
