// What makes work faster changes no result: the same programs under every combination of a device's features.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  type Buffer,
  Device,
  type Dispatch,
  type Feature,
  type Library,
  type Program,
  ProgramBuilder,
} from "../../src/runtime/index.ts";
import { compileKernels, f32, u32 } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";

const features: readonly Feature[] = [
  "concurrent-dispatch",
  "indirect-commands",
  "residency-sets",
  "unretained-references",
];
const floats = 1000;

/** Compiled once: pipelines of a device with all features serve programs of every other opening of it. */
let compiler: Device;
let library: Library;
beforeAll(() => {
  compiler = Device.open();
  library = compileKernels(compiler);
});
afterAll(() => {
  library.dispose();
  compiler.dispose();
});

/** Everything that a program can do, with memory that shows each of its steps. */
function makeProgram(device: Device, memory: Record<"values" | "words" | "out" | "counts" | "sums", Buffer>) {
  const { values, words, out, counts, sums } = memory;
  const add = (amount: number): Dispatch => ({
    pipeline: library.pipeline("add_amount"),
    buffers: [{ buffer: values }],
    constants: { 1: f32(amount) },
    threads: [floats],
    threadsPerThreadgroup: [64],
  });
  const copyWords = library.pipeline("copy_words");
  return new ProgramBuilder(device, { dynamicWords: 8, label: "everything" })
    .fill(sums, 0, 64, 0xab)
    .barrier()
    .dispatch(add(0.1)) // each rounds: their order shows in the last bits
    .barrier()
    .dispatch({
      pipeline: library.pipeline("count_groups"),
      buffers: [{ buffer: counts }],
      threadgroups: [
        { word: 0, itemsPerGroup: 3 },
        { word: 1, itemsPerGroup: 1 },
      ],
      threadsPerThreadgroup: [4, 2],
    })
    .dispatch({
      pipeline: library.pipeline("sum_threads"),
      buffers: [{ buffer: sums }],
      threadgroupMemory: { 0: 4 * 32 },
      threadgroups: [{ word: 2, itemsPerGroup: 10 }],
      threadsPerThreadgroup: [32],
    })
    .barrier() // stays in force where the dispatches on either side of it are empty
    .dispatch({
      pipeline: copyWords,
      buffers: { 0: { dynamicWords: 0 }, 1: { buffer: words } },
      constants: { 2: u32(8) },
      threadgroups: [{ word: 3, itemsPerGroup: 1 }],
      threadsPerThreadgroup: [8],
    })
    .barrier()
    .dispatch(add(1e-3))
    .barrier()
    .copy(values, 0, out, 0, 4 * floats)
    .copy(words, 0, out, 4 * floats, 32)
    .fill(words, 16, 16, 7)
    .barrier()
    .dispatch(add(-3.3))
    .barrier()
    .dispatch({
      pipeline: copyWords,
      buffers: { 0: { dynamicWords: 16 }, 1: { buffer: words, offset: 16 } },
      constants: { 2: u32(3) },
      threadgroups: [1],
      threadsPerThreadgroup: [4],
    })
    .build();
}

/** Dynamic words of one run after the other; 0 makes grids empty, in changing places. */
const runs: readonly number[][] = [
  [9, 2, 30, 1, 11, 12, 13, 14],
  [9, 2, 30, 1, 21, 22, 23, 24],
  [0, 2, 30, 1, 31, 32, 33, 34],
  [9, 2, 0, 0, 41, 42, 43, 44],
  [0, 0, 0, 0, 51, 52, 53, 54],
  [12, 3, 160, 1, 61, 62, 63, 64],
  [12, 3, 160, 1, 71, 72, 73, 74],
  [9, 0, 150, 1, 81, 82, 83, 84],
];

/**
 * All that the program leaves behind: after each run that is waited for, and after many in flight.
 *
 * @param groups How many of those are submitted together, again and again; 40 in all.
 */
async function results(device: Device, groups: readonly number[]): Promise<string[]> {
  using values = device.bufferFrom(Float32Array.from({ length: floats }, (_, i) => i / 7));
  using words = device.buffer(32);
  using out = device.buffer(4 * floats + 32, { storage: "private" });
  using counts = device.buffer(4 * 64);
  using sums = device.buffer(64);
  const program = makeProgram(device, { values, words, out, counts, sums });
  const states: string[] = [];
  const look = (): void => {
    const left = new Uint8Array(out.byteLength);
    out.download(left);
    const hash = createHash("sha1");
    for (const bytes of [left, values.bytes(), words.bytes(), counts.bytes(), sums.bytes()])
      hash.update(bytes);
    states.push(hash.digest("hex"));
  };
  for (const run of runs) {
    device.queue.run(program, Uint32Array.from(run));
    look();
  }
  let next = 0;
  const submitted = groups.map((count) => {
    const words = Array.from({ length: count }, () => runs[next++ % runs.length]);
    return device.queue.submit(program, Uint32Array.from(words.flat()), count);
  });
  program.dispose(); // what is in flight keeps it
  await Promise.all(submitted);
  look();
  // A grid that is too large is refused, and the program runs on as before.
  using again = makeProgram(device, { values, words, out, counts, sums });
  for (const run of runs) {
    device.queue.run(again, Uint32Array.from(run));
    expect(() => device.queue.run(again, Uint32Array.from([9, 0xffffffff, ...run.slice(2)]))).toThrow(
      "over 2^32 - 1",
    );
  }
  look();
  return states;
}

describe("features", () => {
  let expected: string[];

  for (let mask = 0; mask < 1 << features.length; mask++) {
    const disable = features.filter((_, bit) => ((mask >> bit) & 1) === 0);
    const used = features.filter((feature) => !disable.includes(feature));
    test(`programs have the same results with ${used.join(", ") || "none"}`, async () => {
      using device = Device.open(undefined, { disable });
      expected ??= await results(device, new Array(40).fill(1));
      expect(new Set(expected).size).toBe(expected.length);
      expect(await results(device, [1, 3, 8, 1, 16, 11])).toEqual(expected);
    });
  }

  test("programs of one opening of a device run on a queue of another", async () => {
    using plain = Device.open(undefined, { disable: features });
    using full = Device.open();
    for (const [maker, runner] of [
      [plain, full],
      [full, plain],
    ] as const) {
      using buffer = maker.buffer(4 * 64);
      const program: Program = new ProgramBuilder(maker)
        .dispatch({
          pipeline: library.pipeline("add_amount"),
          buffers: [{ buffer }],
          constants: { 1: f32(1) },
          threads: [64],
          threadsPerThreadgroup: [64],
        })
        .build();
      for (let i = 0; i < 3; i++) runner.queue.run(program);
      expect([...buffer.view(Float32Array)]).toEqual(new Array(64).fill(3));
      program.dispose();
    }
  });
});

checkLeaks();
