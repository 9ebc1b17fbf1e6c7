// Compiles every shader of the package on the device and prints the limits of every pipeline, as Markdown. On a Mac it
// answers what cannot be known without one: whether Apple's compiler takes each shader, and how many threads fit.
import { Device } from "../../mod.ts";

using device = Device.open();
console.log(`${device.info.name} (${device.info.architecture})\n`);
console.log("| function | threads per threadgroup, at most | SIMD width | threadgroup memory, bytes |");
console.log("| --- | --- | --- | --- |");
let refused = 0;
const shaders = device.shaders();
for (const name of shaders.functionNames.toSorted()) {
  try {
    const pipeline = shaders.pipeline(name);
    console.log(
      `| ${name} | ${pipeline.maxTotalThreadsPerThreadgroup} | ${pipeline.threadExecutionWidth} | ` +
        `${pipeline.staticThreadgroupMemoryLength} |`,
    );
  } catch (error) {
    refused++;
    console.log(`| ${name} | refused: ${error instanceof Error ? error.message : error} | | |`);
  }
}
console.log(`\n${shaders.functionNames.length} functions, ${refused} refused`);
process.exitCode = refused === 0 ? 0 : 1;
