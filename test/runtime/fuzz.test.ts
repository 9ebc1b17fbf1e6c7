// Program bytes at random: the bridge refuses them with a typed error, or takes them; it never crashes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loadBridge, statusNames } from "../../src/ffi/index.ts";
import { type Buffer, Device, type Library, ProgramBuilder } from "../../src/runtime/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { addProgram, compileKernels, f32 } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";

let device: Device;
let library: Library;
let buffers: Buffer[];
beforeAll(() => {
  device = Device.open();
  library = compileKernels(device);
  buffers = [device.buffer(256), device.buffer(4096, { storage: "private" })];
});
afterAll(() => {
  for (const object of [...buffers, library, device]) object.dispose();
});

/** Values that decoders trip over. */
const awkward = [0, 1, 2, 3, 4, 31, 32, 255, 256, 4096, 4097, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

/** A program with every operation and every kind of operand. */
function sample(): Uint8Array {
  const [a, b] = buffers;
  return new ProgramBuilder(device, { dynamicWords: 8 })
    .dispatch({
      pipeline: library.pipeline("copy_words"),
      buffers: [{ dynamicWords: 8 }, { buffer: a, offset: 64 }],
      constants: { 2: Uint32Array.of(4) },
      threadgroups: [{ word: 0, itemsPerGroup: 4 }, 2],
      threadsPerThreadgroup: [4],
    })
    .barrier()
    .dispatch({
      pipeline: library.pipeline("sum_threads"),
      buffers: [{ buffer: b }],
      threadgroupMemory: { 0: 256 },
      threads: [64],
      threadsPerThreadgroup: [64],
    })
    .copy(a, 0, b, 128, 64)
    .fill(b, 1000, 100, 7)
    .dispatch({
      pipeline: library.pipeline("add_amount"),
      buffers: [{ buffer: a }],
      constants: { 1: f32(1) },
      threads: [64],
      threadsPerThreadgroup: [32],
    })
    .encode();
}

/** Changes bytes in one of several ways: words, bits, cuts, repeats. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const mutated = bytes.slice();
  const words = new Uint32Array(mutated.buffer);
  for (let changes = 1 + randomInteger(random, 3); changes > 0; changes--) {
    const at = randomInteger(random, words.length);
    const kind = random();
    if (kind < 0.35) words[at] = awkward[randomInteger(random, awkward.length)];
    else if (kind < 0.5) words[at] ^= 2 ** randomInteger(random, 32);
    else if (kind < 0.65) words[at] += randomInteger(random, 5) - 2;
    else if (kind < 0.75) words[at] = Math.floor(random() * 2 ** 32);
    else if (kind < 0.9) words[at] = words[randomInteger(random, words.length)];
    else words.copyWithin(at, randomInteger(random, words.length), randomInteger(random, words.length));
  }
  const kept = random() < 0.85 ? mutated.byteLength : randomInteger(random, mutated.byteLength + 1);
  return mutated.slice(0, kept);
}

/** An empty array has no address, which would be refused for that. */
function withAddress(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === 0 ? new Uint8Array(1) : bytes;
}

describe("bm_program_new", () => {
  test("bm_program_new() survives 20,000 mutated programs, with a typed error for each that it refuses", () => {
    const { symbols } = loadBridge();
    const seed = 0xb0b;
    const random = mulberry32(seed);
    const original = sample();
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 20_000; round++) {
      const bytes = mutate(original, random);
      const handle = symbols.bm_program_new(device.handle, withAddress(bytes), bytes.byteLength);
      const outcome = handle === 0 ? statusNames[symbols.bm_error_code()] : "accepted";
      if (handle === 0)
        expect(symbols.bm_error_message(null, 0), `seed ${seed}, round ${round}`).toBeGreaterThan(10);
      else expect(symbols.bm_release(handle)).toBe(0);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    const expected = ["accepted", "argument", "handle", "range", "unsupported", "validation"];
    expect([...outcomes.keys()].filter((outcome) => !expected.includes(outcome))).toEqual([]);
    for (const outcome of ["accepted", "argument", "handle", "range"]) {
      expect(outcomes.get(outcome) ?? 0, outcome).toBeGreaterThan(20);
    }
  });

  test("bm_program_new() survives noise", () => {
    const { symbols } = loadBridge();
    const seed = 0xcafe;
    const random = mulberry32(seed);
    for (let round = 0; round < 3000; round++) {
      const words = Uint32Array.from({ length: 4 + randomInteger(random, 60) }, () => random() * 2 ** 32);
      if (round % 2 === 0) words.set([0x31504d42, 1, 0, 1 + randomInteger(random, 3)]);
      expect(symbols.bm_program_new(device.handle, words, words.byteLength), `seed ${seed}, ${round}`).toBe(
        0,
      );
    }
  });

  test("bm_program_run() keeps mutated copies and fills inside of their buffers", () => {
    const { symbols } = loadBridge();
    const seed = 0xf111;
    const random = mulberry32(seed);
    const [a, b] = buffers;
    // One page between two sentinels, which are nobody's buffer.
    const { pageSize } = device.info;
    const memory = device.alignedMemory(3 * pageSize).fill(0x5a);
    using target = device.wrap(memory.subarray(pageSize, 2 * pageSize));
    const original = new ProgramBuilder(device)
      .copy(a, 0, b, 1024, 256)
      .fill(target, 4096 - 200, 200, 1)
      .barrier()
      .copy(b, 8, target, 4, 76)
      .fill(a, 0, 256, 3)
      .encode();
    let runs = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = mutate(original, random);
      const handle = symbols.bm_program_new(device.handle, withAddress(bytes), bytes.byteLength);
      if (handle === 0) continue;
      const declared = new Uint32Array(bytes.buffer)[2];
      const words = declared === 0 ? null : new Uint32Array(declared);
      expect(symbols.bm_program_run(device.queue.handle, handle, words, declared)).toBe(0);
      expect(symbols.bm_release(handle)).toBe(0);
      runs++;
    }
    expect(runs).toBeGreaterThan(20);
    for (const sentinel of [memory.subarray(0, pageSize), memory.subarray(2 * pageSize)]) {
      expect(sentinel.every((byte) => byte === 0x5a)).toBe(true);
    }
  });

  test("the bridge works as before", () => {
    using values = device.buffer(400);
    using program = addProgram(device, library, values);
    device.queue.run(program);
    expect(values.view(Float32Array).every((x) => x === 1)).toBe(true);
  });
});

checkLeaks();
