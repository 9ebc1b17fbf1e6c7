/** What a device copies within its own memory: what the speed of all else on it is held to. */
import { type Device, ProgramBuilder } from "../../mod.ts";

/** Unless told: twice the second-level cache of the largest GPUs. */
export const COPY_BYTES: number = 2 ** 28;
/** In one program, so that what a program costs does not count; the CPU takes its time. */
const GPU_COPIES = 64;
const CPU_COPIES = 4;
const ROUNDS = 3;

/** Bytes read and written, in GB/s, of copies within the device's memory: the best of a few runs. */
export function copySpeed(device: Device, bytes: number): number {
  using from = device.buffer(bytes, { storage: "private" });
  using to = device.buffer(bytes, { storage: "private" });
  from.fill(1); // memory that nothing was written to may not be there
  to.fill(0);
  const builder = new ProgramBuilder(device);
  const copies = device.info.backend === "cpu" ? CPU_COPIES : GPU_COPIES;
  for (let i = 0; i < copies; i++) builder.copy(from, 0, to, 0, bytes).barrier();
  using program = builder.build();
  let best = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now();
    device.queue.run(program);
    best = Math.max(best, (2 * copies * bytes) / (performance.now() - start) / 1e6);
  }
  return best;
}
