/**
 * What native kernels add to the differences from exact results. The CPU device's round activations to 16 bits where weights are
 * quantised (bridge/linux/cpu/native/activations.h); BUN_METAL_CPU_NATIVE=msl has none of it. CUDA devices' multiply halves
 * where there are many rows (bridge/linux/cuda/native/matmul.cu), and with weights in floats and bfloats 16 bits; attention of many
 * rows multiplies halves whatever the weights (attention_tiled.cu). BUN_METAL_CUDA_NATIVE=off has none of it.
 */
import { hasHalfProducts, hasNativeKernels } from "../host/native_kernels.ts";
import { halfProductsBound, roundedActivationsBound } from "../kernels/case.ts";

const floats: readonly string[] = ["f32", "f16", "bf16"];

/**
 * Twice the most that 16 bits were seen to move a logit by: 4e-4 of logits up to 15, over eight layers. The error of a product of
 * halves is 15 times that of one of 16 bits, and that of attention no more (test/kernels/case.ts).
 *
 * @param type of the weights
 */
export function roundingOfLogits(type: string): number {
  if (hasHalfProducts) return 15 * 8e-4;
  return hasNativeKernels && !floats.includes(type) ? 8e-4 : 0;
}

/** The same of a single product, relative to a typical output. */
export const roundingOfProducts: number = hasHalfProducts
  ? halfProductsBound
  : hasNativeKernels
    ? roundedActivationsBound
    : 0;
