// Prints how far resident memory rose while a file was staged to the device, in bytes, as JSON: a program of its own,
// because the peak is the whole process's. Arguments: a file, its length.
import { readFileSync } from "node:fs";
import { loadWeights } from "../../src/llama/weight_buffers.ts";
import { deviceAs } from "./devices.ts";

/** The most that was ever resident. */
function peakBytes(): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  if (match === null) throw new Error("The system does not tell how much memory is resident");
  return Number(match[1]) * 1024;
}

const [path, length] = process.argv.slice(2);
const fileSize = Number(length);
// The CPU device, whose memory is the process's.
using device = deviceAs({ weightStorage: "private" }, "cpu");
const before = peakBytes();
const layout = {
  chunks: [{ part: 0, offset: 0, byteLength: fileSize }],
  places: new Map(),
  byteLength: fileSize,
};
using weights = await loadWeights(device, [{ path, byteLength: fileSize }], layout);
console.log(JSON.stringify({ placement: weights.placement, rise: peakBytes() - before }));
