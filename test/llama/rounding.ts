/**
 * What the CPU device's native kernels add to the differences from exact results: they round activations to 16 bits where
 * weights are quantised (bridge/linux/cpu/native/activations.h). BUN_METAL_CPU_NATIVE=msl has none of it.
 */
import { Device } from "../../src/runtime/index.ts";

function hasNativeKernels(): boolean {
  using device = Device.open();
  return device.info.architecture.includes("+");
}

const isThere = hasNativeKernels();
const floats: readonly string[] = ["f32", "f16", "bf16"];

/**
 * Twice the most that it was seen to move a logit by: 4e-4 of logits up to 15, over eight layers.
 *
 * @param type of the weights
 */
export function roundingOfLogits(type: string): number {
  return isThere && !floats.includes(type) ? 8e-4 : 0;
}

/** The same of a single product, relative to a typical output: see test/kernels/case.ts. */
export const roundingOfProducts: number = isThere ? 5e-4 : 0;
