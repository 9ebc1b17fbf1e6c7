/** Whether the CPU device's native kernels stand in for those of the shaders in this process (env BUN_METAL_CPU_NATIVE). */
import { Device } from "../../src/runtime/index.ts";

function read(): boolean {
  using device = Device.open();
  return device.info.architecture.includes("+"); // cpu-x86-64-v4+avx512vnni
}

export const hasNativeKernels: boolean = read();
