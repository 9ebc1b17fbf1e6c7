/** A Worker of worker.test.ts: submits work of its own, then ends in the way that it is told. */
import { Device } from "../../src/runtime/index.ts";
import { addProgram, compileKernels } from "./kernels.ts";

/** What a Worker sends. */
export interface WorkerReport {
  /** Value of each float after as many additions of 1. */
  readonly sum: number;
}

declare const self: Worker;

self.onmessage = async ({ data }: MessageEvent<{ additions: number; exitInFlight: boolean }>) => {
  const device = Device.open();
  const library = compileKernels(device);
  const values = device.buffer(1024);
  const program = addProgram(device, library, values);
  const promises = Array.from({ length: data.additions }, () => device.queue.submit(program));
  if (data.exitInFlight) process.exit(0);
  await Promise.all(promises);
  self.postMessage({ sum: values.view(Float32Array)[255] } satisfies WorkerReport);
  for (const object of [program, values, library, device]) object.dispose();
  self.onmessage = null; // Nothing holds this Worker any more: it ends.
};
