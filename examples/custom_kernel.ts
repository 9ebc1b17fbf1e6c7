// How do I run a kernel of my own? Compile Metal Shading Language from a string, bind buffers, run, read.
//   bun run examples/custom_kernel.ts
//   deno run --allow-ffi --allow-read examples/custom_kernel.ts
import { Device, ProgramBuilder } from "../mod.ts";

const source = `
#include <metal_stdlib>
using namespace metal;

kernel void saxpy(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
                  constant float &a [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  y[i] = a * x[i] + y[i];
}`;

using device = Device.open();
using library = device.compile(source, { name: "saxpy" });
using x = device.bufferFrom(Float32Array.from({ length: 1000 }, (_, i) => i));
using y = device.bufferFrom(new Float32Array(1000).fill(1));
using program = new ProgramBuilder(device)
  .dispatch({
    pipeline: library.pipeline("saxpy"),
    buffers: [{ buffer: x }, { buffer: y }],
    constants: { 2: Float32Array.of(2) },
    threads: [1000],
    threadsPerThreadgroup: [100],
  })
  .build();

device.queue.run(program);
console.log(`2 * x + 1 on ${device.info.name}: ${y.view(Float32Array).slice(0, 5).join(" ")} ...`);
