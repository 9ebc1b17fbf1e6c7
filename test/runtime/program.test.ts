// Programs: their bytes, and what they do.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Device, type Library, ProgramBuilder, ReleasedError } from "../../src/runtime/index.ts";
import { addProgram, compileKernels, f32, u32 } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";

let device: Device;
let library: Library;
beforeAll(() => {
  device = Device.open();
  library = compileKernels(device);
});
afterAll(() => {
  library.dispose();
  device.dispose();
});

describe("ProgramBuilder", () => {
  test("ProgramBuilder writes the words that bun_metal.h describes", () => {
    using a = device.buffer(64);
    using b = device.buffer(64);
    const pipeline = library.pipeline("add_amount");
    const bytes = new ProgramBuilder(device, { dynamicWords: 7 })
      .dispatch({
        pipeline,
        buffers: { 0: { buffer: a, offset: 2 ** 33 + 5 }, 4: { dynamicWords: 8 } },
        constants: { 1: Uint8Array.of(1, 2, 3, 4, 5) },
        threadgroupMemory: { 2: 128 },
        threadgroups: [{ word: 3, itemsPerGroup: 32 }, 9],
        threadsPerThreadgroup: [64, 2],
      })
      .barrier()
      .copy(a, 1, b, 2, 3)
      .fill(b, 4, 5, 6)
      .encode();
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const header = [0x31504d42, 2, 7, 4];
    const dispatch = [
      ...[pipeline.handle, 0, 32, 4, 9, 0, 1, 0, 64, 2, 1],
      ...[2, 0, a.handle, 5, 2, 4, 0xffffffff, 8, 0],
      ...[1, 1, 5, 0x04030201, 0x05],
      ...[1, 2, 128],
    ];
    const copy = [a.handle, 1, 0, b.handle, 2, 0, 3, 0];
    const fill = [b.handle, 4, 0, 5, 0, 6];
    const operation = (opcode: number, operands: number[]) => [
      opcode | ((operands.length + 1) << 8),
      ...operands,
    ];
    expect([...words]).toEqual([
      ...header,
      ...operation(1, dispatch),
      ...operation(4, []),
      ...operation(2, copy),
      ...operation(3, fill),
    ]);
  });

  test("ProgramBuilder writes an operation whole or not at all", () => {
    using buffer = device.buffer(64);
    const pipeline = library.pipeline("add_amount");
    const builder = new ProgramBuilder(device).barrier();
    const before = builder.encode();
    const good = { pipeline, threads: [1], threadsPerThreadgroup: [1] } as const;
    expect(() => builder.fill(buffer, 0, 1.5, 0)).toThrow(RangeError);
    expect(() => builder.fill(buffer, 0, 4, -1)).toThrow(RangeError);
    expect(() => builder.copy(buffer, -1, buffer, 0, 4)).toThrow(RangeError);
    expect(() => builder.dispatch({ ...good, threads: [2 ** 32] })).toThrow(RangeError);
    expect(() => builder.dispatch({ ...good, threads: [{ word: 0, itemsPerGroup: 1 }] })).toThrow(
      "dynamic word 0",
    );
    expect(() => builder.dispatch({ ...good, threadgroups: [1] })).toThrow(TypeError);
    expect(() => builder.dispatch({ pipeline, threadsPerThreadgroup: [1] })).toThrow(TypeError);
    expect(() => builder.dispatch({ ...good, threadsPerThreadgroup: [0.5] })).toThrow(RangeError);
    expect(() => builder.dispatch({ ...good, threadgroupMemory: { 0: -4 } })).toThrow(RangeError);
    expect(() => builder.dispatch({ ...good, buffers: { 0: { buffer, offset: Number.NaN } } })).toThrow(
      RangeError,
    );
    expect(() => builder.dispatch({ ...good, buffers: { [-1]: { buffer } } })).toThrow(RangeError);
    const gone = device.buffer(4);
    gone.dispose();
    expect(() => builder.fill(gone, 0, 4, 0)).toThrow(ReleasedError);
    expect(builder.encode()).toEqual(before);
    expect(builder.operationCount).toBe(1);
  });

  test("ProgramBuilder grows as it must", () => {
    using buffer = device.buffer(4096);
    const builder = new ProgramBuilder(device);
    for (let i = 0; i < 1024; i++) builder.fill(buffer, 4 * i, 4, i % 251);
    using program = builder.build();
    device.queue.run(program);
    expect(buffer.bytes()).toEqual(Uint8Array.from({ length: 4096 }, (_, i) => (i >> 2) % 251));
  });
});

describe("Program", () => {
  test("Program runs a kernel over a grid of threads, as often as asked", () => {
    using values = device.bufferFrom(Float32Array.from({ length: 1000 }, (_, i) => i));
    using program = addProgram(device, library, values, 0.5);
    expect(program).toMatchObject({ wordCount: 0, dispatchCount: 1, barrierCount: 0 });
    for (let run = 0; run < 4; run++) device.queue.run(program);
    expect([...values.view(Float32Array)]).toEqual(Array.from({ length: 1000 }, (_, i) => i + 2));
    expect(device.queue.gpuSeconds).toBeGreaterThan(0);
  });

  test("Program binds buffers at offsets", () => {
    using values = device.buffer(64);
    using program = new ProgramBuilder(device)
      .dispatch({
        pipeline: library.pipeline("add_amount"),
        buffers: [{ buffer: values, offset: 16 }],
        constants: { 1: f32(2) },
        threads: [2],
        threadsPerThreadgroup: [2],
      })
      .build();
    device.queue.run(program);
    expect([...values.view(Float32Array)].indexOf(2)).toBe(4);
    expect([...values.view(Float32Array)].filter((x) => x === 2)).toHaveLength(2);
  });

  test("Program binds constants from a buffer as well", () => {
    using values = device.buffer(16);
    using amount = device.bufferFrom(Float32Array.of(0, 3));
    using program = new ProgramBuilder(device)
      .dispatch({
        pipeline: library.pipeline("add_amount"),
        buffers: [{ buffer: values }, { buffer: amount, offset: 4 }],
        threads: [4],
        threadsPerThreadgroup: [4],
      })
      .build();
    device.queue.run(program);
    expect([...values.view(Float32Array)]).toEqual([3, 3, 3, 3]);
  });

  test("Program grids in threadgroups have three dimensions", () => {
    using counts = device.buffer(4 * 24);
    using program = new ProgramBuilder(device)
      .dispatch({
        pipeline: library.pipeline("count_groups"),
        buffers: [{ buffer: counts }],
        threadgroups: [4, 3, 2],
        threadsPerThreadgroup: [8, 4],
      })
      .build();
    device.queue.run(program);
    device.queue.run(program);
    expect([...counts.view(Uint32Array)]).toEqual(new Array(24).fill(2));
  });

  test("Program grids follow a dynamic word, and 0 skips the dispatch", () => {
    using counts = device.buffer(4 * 12);
    using program = new ProgramBuilder(device, { dynamicWords: 3 })
      .dispatch({
        pipeline: library.pipeline("count_groups"),
        buffers: [{ buffer: counts }],
        threadgroups: [
          { word: 2, itemsPerGroup: 10 },
          { word: 0, itemsPerGroup: 1 },
        ],
        threadsPerThreadgroup: [32],
      })
      .build();
    const run = (rows: number, items: number): number => {
      counts.fill(0);
      device.queue.run(program, Uint32Array.of(rows, 0, items));
      return counts.view(Uint32Array).reduce((sum, count) => sum + count, 0);
    };
    expect([run(1, 1), run(1, 10), run(1, 11), run(2, 31), run(3, 40)]).toEqual([1, 1, 2, 8, 12]);
    expect([run(0, 40), run(3, 0), run(0, 0)]).toEqual([0, 0, 0]);
  });

  test("Program grids in threads follow a dynamic word", () => {
    using values = device.buffer(400);
    using program = new ProgramBuilder(device, { dynamicWords: 1 })
      .dispatch({
        pipeline: library.pipeline("add_amount"),
        buffers: [{ buffer: values }],
        constants: { 1: f32(1) },
        threads: [{ word: 0, itemsPerGroup: 1 }],
        threadsPerThreadgroup: [32],
      })
      .build();
    for (const count of [0, 1, 33, 100]) device.queue.run(program, Uint32Array.of(count));
    const values32 = values.view(Float32Array);
    expect([values32[0], values32[1], values32[32], values32[33], values32[99]]).toEqual([3, 2, 2, 1, 1]);
  });

  test("Program reads a run's dynamic words, from an offset on", () => {
    using out = device.buffer(64);
    using program = new ProgramBuilder(device, { dynamicWords: 16 })
      .dispatch({
        pipeline: library.pipeline("copy_words"),
        buffers: [{ dynamicWords: 16 }, { buffer: out }],
        constants: { 2: u32(12) },
        threads: [16],
        threadsPerThreadgroup: [16],
      })
      .build();
    const words = Uint32Array.from({ length: 16 }, (_, i) => i * i);
    device.queue.run(program, words);
    words.fill(0);
    expect([...out.view(Uint32Array).subarray(0, 12)]).toEqual(
      Array.from({ length: 12 }, (_, i) => (i + 4) ** 2 + 1),
    );
    device.queue.run(program, words.fill(5));
    expect(out.view(Uint32Array)[11]).toBe(6);
  });

  test("Program gives threadgroups memory", () => {
    using out = device.buffer(12);
    using program = new ProgramBuilder(device)
      .dispatch({
        pipeline: library.pipeline("sum_threads"),
        buffers: [{ buffer: out }],
        threadgroupMemory: { 0: 4 * 100 },
        threadgroups: [3],
        threadsPerThreadgroup: [100],
      })
      .build();
    device.queue.run(program);
    expect([...out.view(Uint32Array)]).toEqual([4950, 4950, 4950]);
  });

  test("Program orders what a barrier separates", () => {
    using values = device.buffer(4000);
    using copy = device.buffer(4000, { storage: "private" });
    const add = {
      pipeline: library.pipeline("add_amount"),
      buffers: [{ buffer: values }],
      constants: { 1: f32(1) },
      threads: [1000],
      threadsPerThreadgroup: [100],
    } as const;
    const builder = new ProgramBuilder(device);
    for (let i = 0; i < 50; i++) builder.dispatch(add).barrier();
    using program = builder
      .copy(values, 0, copy, 0, 4000)
      .barrier()
      .fill(values, 0, 2000, 0)
      .barrier()
      .dispatch(add)
      .build();
    expect([program.dispatchCount, program.barrierCount]).toEqual([51, 52]);
    device.queue.run(program);
    const copied = new Float32Array(1000);
    copy.download(copied);
    expect(copied.every((x) => x === 50)).toBe(true);
    expect([...values.view(Float32Array)]).toEqual(
      Array.from({ length: 1000 }, (_, i) => (i < 500 ? 1 : 51)),
    );
  });

  test("Program of nothing runs", () => {
    using program = new ProgramBuilder(device).build();
    device.queue.run(program);
    using barriers = new ProgramBuilder(device).barrier().barrier().build();
    device.queue.run(barriers);
  });

  test("Program keeps what it uses when that is disposed", () => {
    const memory = device.alignedMemory(device.info.pageSize);
    const values = device.wrap(memory);
    const own = compileKernels(device);
    using program = addProgram(device, own, values);
    values.dispose();
    own.dispose();
    device.queue.run(program);
    expect(new Float32Array(memory.buffer, memory.byteOffset, 2)[1]).toBe(1);
  });
});

checkLeaks();
