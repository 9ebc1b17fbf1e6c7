// What a generated token costs the host, beside what the driver's library takes: over the one that stands for CUDA's, which
// runs no kernels, so that all that is left is ours. Tokens are chosen on the "device", some in flight.
//   bun run test/bench/host_time.ts [--layers 22] [--in-flight 16] [--tokens 2000] [--rounds 9]
//     [--step-time 600]
// `make test-artifacts` builds that library. Printed are medians, the least and the most. With a step time, in
// microseconds, each step takes so long, one after the other: threads sleep as they would beside a GPU.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Llama } from "../../mod.ts";
import { benchDirectory, modelFile } from "./model_files.ts";
import { parseOptions, refused } from "./options.ts";
import { summarise } from "./statistics.ts";

function readWords() {
  try {
    return parseOptions({
      options: {
        layers: { type: "string", default: "22" },
        "in-flight": { type: "string", default: "16" },
        tokens: { type: "string", default: "2000" },
        rounds: { type: "string", default: "9" },
        "step-time": { type: "string", default: "0" },
      },
    });
  } catch (error) {
    process.exit(refused("host_time", error));
  }
}

const values = readWords();
const tokens = Number(values.tokens);
const layers = Number(values.layers);

const folder = join(
  import.meta.dirname,
  `../../build/linux-${process.arch === "arm64" ? "aarch64" : "x86_64"}/fake-cuda`,
);
if (process.env.LD_LIBRARY_PATH !== folder) {
  const { exitCode } = Bun.spawnSync([process.execPath, ...process.argv.slice(1)], {
    env: { ...process.env, LD_LIBRARY_PATH: folder, FAKE_CUDA_STEP_US: values["step-time"] },
    stdio: ["inherit", "inherit", "inherit"],
  });
  process.exit(exitCode);
}
const { dlopen } = await import("bun:ffi");
const { symbols: fake } = dlopen(join(folder, "libcuda.so.1"), {
  fakeSpent: { args: ["u32"], returns: "f64" },
});

/** Seconds of processor time of each thread, without those in the driver's library. */
function spent(): Map<string, number> {
  const all = new Map<string, number>();
  for (const thread of readdirSync("/proc/self/task")) {
    try {
      const seconds = Number(readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e9;
      all.set(thread, seconds - fake.fakeSpent(Number(thread)));
    } catch {} // it has ended
  }
  return all;
}

const shape = { dim: 256, layers, heads: 4, kvHeads: 1, headLength: 64, hidden: 512, vocabulary: 512 };
const path = modelFile({ name: `host-${layers}`, shape, type: "Q8_0" }, benchDirectory, console.error);
using llama = await Llama.load(path, { device: "cuda", tokensInFlight: Number(values["in-flight"]) });
fake.fakeSpent(0);
const script: number[] = [];
const others: number[] = [];
const walls: number[] = [];
for (let round = 0; round <= Number(values.rounds); round++) {
  const before = spent();
  const start = performance.now();
  for await (const _text of llama.generate([1, 5, 7], { maxTokens: tokens, temperature: 0 }));
  const wall = performance.now() - start;
  const after = spent();
  const taken = (thread: string): number => ((after.get(thread) ?? 0) - (before.get(thread) ?? 0)) / tokens;
  if (round === 0) continue; // makes the steps
  script.push(taken(String(process.pid)) * 1e6);
  others.push(
    [...after.keys()].filter((t) => Number(t) !== process.pid).reduce((sum, t) => sum + taken(t), 0) * 1e6,
  );
  walls.push((wall * 1e3) / tokens);
}
console.log(
  `${llama.statistics.dispatchesPerToken} dispatches a token, ${values["in-flight"]} in flight; microseconds a token:`,
);
for (const [name, figures] of [
  ["JavaScript's thread", script],
  ["other threads", others],
  ["in all, with the stand-in", walls],
] as const) {
  const summary = summarise(figures);
  console.log(
    `${name.padEnd(26)} ${[summary?.median, summary?.least, summary?.most].map((v) => v?.toFixed(1)).join("  ")}`,
  );
}
