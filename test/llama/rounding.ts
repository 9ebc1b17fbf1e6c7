/**
 * What the CPU device's native kernels add to the differences from exact results: they round activations to 16 bits where
 * weights are quantised (bridge/linux/cpu/native/activations.h). BUN_METAL_CPU_NATIVE=msl has none of it.
 */
import { hasNativeKernels } from "../host/native_kernels.ts";
import { roundedActivationsBound } from "../kernels/case.ts";

const floats: readonly string[] = ["f32", "f16", "bf16"];

/**
 * Twice the most that it was seen to move a logit by: 4e-4 of logits up to 15, over eight layers.
 *
 * @param type of the weights
 */
export function roundingOfLogits(type: string): number {
  return hasNativeKernels && !floats.includes(type) ? 8e-4 : 0;
}

/** The same of a single product, relative to a typical output. */
export const roundingOfProducts: number = hasNativeKernels ? roundedActivationsBound : 0;
