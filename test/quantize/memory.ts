// Prints how far resident memory rose while a file was quantised, in bytes: a program of its own, because the peak is the
// whole process's. Arguments: input, output.
import { readFileSync } from "node:fs";
import { quantize } from "../../src/quantize/index.ts";

/** The most that was ever resident. */
function peakBytes(): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  if (match === null) throw new Error("The system does not tell how much memory is resident");
  return Number(match[1]) * 1024;
}

const [input, output] = process.argv.slice(2);
const before = peakBytes();
await quantize(input, output, "Q4_0", { pure: true });
console.log(peakBytes() - before);
