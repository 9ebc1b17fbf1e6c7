/** Kernels and programs that several suites of the runtime share. */
import {
  type Buffer,
  type Device,
  type Library,
  type Program,
  ProgramBuilder,
} from "../../src/runtime/index.ts";

/** MSL with one kernel for each thing that the suites need to see happen. */
export const source = `
#include <metal_stdlib>
using namespace metal;

// values[i] += amount
kernel void add_amount(device float *values [[buffer(0)]], constant float &amount [[buffer(1)]],
                       uint i [[thread_position_in_grid]]) {
  values[i] += amount;
}

// counts[group] += 1, by the first thread of each threadgroup
kernel void count_groups(device uint *counts [[buffer(0)]], uint3 group [[threadgroup_position_in_grid]],
                         uint3 groups [[threadgroups_per_grid]], uint thread_index [[thread_index_in_threadgroup]]) {
  if (thread_index == 0) counts[(group.z * groups.y + group.y) * groups.x + group.x] += 1;
}

// out[i] = words[i] + 1, for as many words as there are
kernel void copy_words(device const uint *words [[buffer(0)]], device uint *out [[buffer(1)]],
                       constant uint &count [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  if (i < count) out[i] = words[i] + 1;
}

// out[group] = sum of the threadgroup's thread numbers, through threadgroup memory of the caller's
kernel void sum_threads(device uint *out [[buffer(0)]], threadgroup uint *scratch [[threadgroup(0)]],
                        uint i [[thread_index_in_threadgroup]], uint threads [[threads_per_threadgroup]],
                        uint group [[threadgroup_position_in_grid]]) {
  scratch[i] = i;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i != 0) return;
  uint sum = 0;
  for (uint k = 0; k < threads; k++) sum += scratch[k];
  out[group] = sum;
}

// Takes a while: \`rounds\` steps of the logistic map, which no compiler can shorten.
kernel void spin(device float *values [[buffer(0)]], constant uint &rounds [[buffer(1)]],
                 uint i [[thread_position_in_grid]]) {
  float value = 0.3f + values[i] * 0.0f;
  for (uint round = 0; round < rounds; round++) value = 3.7f * value * (1.0f - value);
  values[i] = value;
}
`;

export function compileKernels(device: Device): Library {
  return device.compile(source, { name: "kernels.metal" });
}

/** A constant of one u32. */
export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** A constant of one f32. */
export function f32(value: number): Uint8Array {
  return new Uint8Array(Float32Array.of(value).buffer);
}

/** A program that adds `amount` to each float of the buffer. */
export function addProgram(device: Device, library: Library, values: Buffer, amount = 1): Program {
  return new ProgramBuilder(device, { label: "add" })
    .dispatch({
      pipeline: library.pipeline("add_amount"),
      buffers: [{ buffer: values }],
      constants: { 1: f32(amount) },
      threads: [values.byteLength / 4],
      threadsPerThreadgroup: [Math.min(64, values.byteLength / 4)],
    })
    .build();
}

/** A program that keeps the device busy for some time: some nanoseconds for each round. */
export function spinProgram(device: Device, library: Library, values: Buffer, rounds: number): Program {
  return new ProgramBuilder(device, { label: "spin" })
    .dispatch({
      pipeline: library.pipeline("spin"),
      buffers: [{ buffer: values }],
      constants: { 1: u32(rounds) },
      threads: [1],
      threadsPerThreadgroup: [1],
    })
    .build();
}
