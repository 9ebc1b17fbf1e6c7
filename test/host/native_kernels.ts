/** Which kernels stand in for those of the shaders in this process. */
import process from "node:process";
import { Device } from "../../src/runtime/index.ts";

function architectureOf(): string {
  using device = Device.open();
  return device.info.architecture; // cpu-x86-64-v4+avx512vnni, cuda-sm_90
}

const architecture = architectureOf();

/** The CPU device's (env BUN_METAL_CPU_NATIVE). */
export const hasNativeKernels: boolean = architecture.includes("+");

/** Those of NVIDIA's GPUs (env BUN_METAL_CUDA_NATIVE), which multiply in half precision where there are many rows. */
export const hasHalfProducts: boolean =
  architecture.startsWith("cuda-") && process.env.BUN_METAL_CUDA_NATIVE !== "off";
