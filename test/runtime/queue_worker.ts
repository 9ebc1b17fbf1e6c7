/** A Worker of worker.test.ts: submits work of its own, then ends in the way that it is told. */
import { parentPort } from "node:worker_threads";
import { Device } from "../../src/runtime/index.ts";
import { addProgram, compileKernels } from "./kernels.ts";

/** What a Worker sends. */
export interface WorkerReport {
  /** Value of each float after as many additions of 1; NaN where it did not wait for them. */
  readonly sum: number;
}

/** What it is told. */
type Order = { readonly additions: number; readonly exitInFlight: boolean };

// Once: afterwards nothing holds this Worker any more, and it ends.
// To Deno's node:worker_threads, what the global Worker made has no port.
const port: { postMessage(message: WorkerReport): void } = parentPort ?? (globalThis as unknown as Worker);
if (parentPort !== null) parentPort.once("message", work);
else globalThis.addEventListener("message", ({ data }: MessageEvent<Order>) => work(data), { once: true });

async function work(order: Order): Promise<void> {
  const device = Device.open();
  const library = compileKernels(device);
  const values = device.buffer(1024);
  const program = addProgram(device, library, values);
  const promises = Array.from({ length: order.additions }, () => device.queue.submit(program));
  if (order.exitInFlight) {
    port.postMessage({ sum: Number.NaN });
    process.exit(0);
  }
  await Promise.all(promises);
  port.postMessage({ sum: values.view(Float32Array)[255] } satisfies WorkerReport);
  for (const object of [program, values, library, device]) object.dispose();
}
