// Programs that must not be built or run: each refused with a typed error that names the cause.
import { describe, expect, test } from "bun:test";
import { type Symbols, statusNames } from "../../src/ffi/index.ts";
import {
  type Buffer,
  type Device,
  type Library,
  type Program,
  ProgramBuilder,
} from "../../src/runtime/index.ts";
import { f32 } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";
import { expectRefused, lastCode } from "./refusals.ts";
import { useWorkingDevice } from "./working_device.ts";

let device: Device;
let library: Library;
let values: Buffer;
let program: Program;
let symbols: Symbols;

useWorkingDevice((parts) => {
  ({ device, library, values, program, symbols } = parts);
});

describe("programs", () => {
  const add = (): {
    readonly pipeline: ReturnType<Library["pipeline"]>;
    readonly constants: Record<number, Uint8Array>;
  } => ({
    pipeline: library.pipeline("add_amount"),
    constants: { 1: f32(1) },
  });

  test("a bad opcode is refused", () => {
    const bytes = new ProgramBuilder(device).barrier().encode();
    for (const word of [0, 5, 99, 0xff, 0xffffffff, 4, 4 | (2 << 8)]) {
      new DataView(bytes.buffer).setUint32(16, word, true);
      expect(symbols.bm_program_new(device.handle, bytes, bytes.byteLength)).toBe(0);
      expect(lastCode()).toBe("argument");
    }
  });

  test("a bad header is refused", () => {
    const good = new ProgramBuilder(device).barrier().encode();
    const refuse = (index: number, value: number): void => {
      const bytes = good.slice();
      new DataView(bytes.buffer).setUint32(4 * index, value, true);
      expect(symbols.bm_program_new(device.handle, bytes, bytes.byteLength)).toBe(0);
      expect(["argument", "range", "unsupported"]).toContain(lastCode());
    };
    refuse(0, 0);
    refuse(1, 0);
    refuse(1, 1);
    refuse(1, 3);
    refuse(2, 1048577);
    refuse(2, 0xffffffff);
    refuse(3, 0);
    refuse(3, 2);
    refuse(3, 0xffffffff);
    for (const length of [0, 1, 4, 15, 16, 19, 21, -4, 2 ** 53, Number.NaN, 2 ** 40]) {
      if (length > good.byteLength && length < 2 ** 53) continue; // Would read past the array.
      expect(symbols.bm_program_new(device.handle, good, length), String(length)).toBe(0);
    }
    expectRefused(() => new ProgramBuilder(device, { dynamicWords: 1048577 }).build(), ["argument", "range"]);
  });

  test("an unbound buffer is refused", () => {
    const pipeline = library.pipeline("add_amount");
    const grid = { threads: [1], threadsPerThreadgroup: [1] } as const;
    const build = (bindings: object) =>
      new ProgramBuilder(device).dispatch({ pipeline, ...grid, ...bindings }).build();
    expectRefused(() => build({ constants: { 1: f32(1) } }), ["validation", "argument"], /0/);
    expectRefused(() => build({ buffers: [{ buffer: values }] }), ["validation", "argument"], /1/);
  });

  test("bindings that do not fit are refused", () => {
    const grid = { threads: [1], threadsPerThreadgroup: [1] } as const;
    const at = (offset: number) =>
      new ProgramBuilder(device)
        .dispatch({ ...add(), ...grid, buffers: [{ buffer: values, offset }] })
        .build();
    for (const offset of [1024, 1028, 2 ** 32, 2 ** 53 - 1]) {
      expectRefused(() => at(offset), ["range", "validation", "argument"]);
    }
    for (const index of [31, 32, 1000, 2 ** 32 - 1]) {
      const builder = new ProgramBuilder(device).dispatch({
        ...add(),
        ...grid,
        buffers: { 0: { buffer: values }, [index]: { buffer: values } },
      });
      expectRefused(() => builder.build(), ["range", "validation", "argument"]);
    }
    const words = new ProgramBuilder(device, { dynamicWords: 2 }).dispatch({
      ...add(),
      ...grid,
      buffers: [{ dynamicWords: 12 }],
    });
    expectRefused(() => words.build(), ["range", "validation", "argument"]);
    for (const length of [0, 4097, 100_000]) {
      const builder = new ProgramBuilder(device).dispatch({
        pipeline: library.pipeline("add_amount"),
        ...grid,
        buffers: [{ buffer: values }],
        constants: { 1: new Uint8Array(length) },
      });
      expectRefused(() => builder.build(), ["range", "validation", "argument"]);
    }
    const twice = new ProgramBuilder(device).dispatch({
      ...add(),
      ...grid,
      buffers: [{ buffer: values }, { buffer: values }],
    });
    expectRefused(() => twice.build(), ["validation", "argument"]);
  });

  test("too many threads are refused", () => {
    const most = library.pipeline("add_amount").maxTotalThreadsPerThreadgroup;
    for (const threadsPerThreadgroup of [
      [most + 1],
      [most, 2],
      [1, 1, most + 1],
      [65536, 65536],
      [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1],
      [0],
      [1, 0],
    ] as const) {
      const builder = new ProgramBuilder(device).dispatch({
        ...add(),
        buffers: [{ buffer: values }],
        threads: [1],
        threadsPerThreadgroup,
      });
      expectRefused(() => builder.build(), ["validation", "argument", "range"]);
    }
  });

  test("too much threadgroup memory is refused", () => {
    const most = device.info.maxThreadgroupMemory;
    for (const length of [most + 16, 2 ** 31, 2 ** 32 - 16]) {
      const builder = new ProgramBuilder(device).dispatch({
        pipeline: library.pipeline("sum_threads"),
        buffers: [{ buffer: values }],
        threadgroupMemory: { 0: length },
        threadgroups: [1],
        threadsPerThreadgroup: [1],
      });
      expectRefused(() => builder.build(), ["validation", "argument", "range"], /threadgroup/i);
    }
    const without = new ProgramBuilder(device).dispatch({
      pipeline: library.pipeline("sum_threads"),
      buffers: [{ buffer: values }],
      threadgroups: [1],
      threadsPerThreadgroup: [1],
    });
    expectRefused(() => without.build(), ["validation", "argument"]);
  });

  test("copies and fills outside of their buffers are refused", () => {
    const refuse = (builder: ProgramBuilder) =>
      expectRefused(() => builder.build(), ["range", "argument", "validation"]);
    const start = () => new ProgramBuilder(device);
    refuse(start().copy(values, 0, values, 512, 513));
    refuse(start().copy(values, 1024, values, 0, 1));
    refuse(start().copy(values, 2 ** 53 - 1, values, 0, 2));
    refuse(start().copy(values, 0, values, 2 ** 32, 2 ** 53 - 1));
    refuse(start().copy(values, 0, values, 4, 8));
    refuse(start().fill(values, 0, 1025, 0));
    refuse(start().fill(values, 1020, 2 ** 53 - 1, 0));
    refuse(start().fill(values, 0, 4, 256));
    refuse(start().fill(values, 0, 0, 0));
  });

  test("a run with the wrong number of words is refused", () => {
    using words = new ProgramBuilder(device, { dynamicWords: 4 }).build();
    expect(() => device.queue.run(words)).toThrow("0 dynamic words");
    expect(() => device.queue.run(words, new Uint32Array(3))).toThrow("declares 4");
    expect(() => device.queue.run(program, new Uint32Array(1))).toThrow("declares 0");
    expect(() => device.queue.run(words, new Float32Array(4) as unknown as Uint32Array)).toThrow(TypeError);
    const four = new Uint32Array(4);
    const { queue } = device;
    const statuses = [
      symbols.bm_program_run(queue.handle, words.handle, four, 3),
      symbols.bm_program_run(queue.handle, words.handle, null, 4),
      symbols.bm_program_run(queue.handle, words.handle, null, 0),
    ];
    expect(statuses.map((status) => statusNames[status])).toEqual(["argument", "argument", "argument"]);
    for (const [given, count] of [
      [four, 3],
      [four, 0],
      [new Uint32Array(6), 6],
      [new Uint32Array(9), 9],
      [new Uint32Array(4 * 65), 4 * 65], // runs, more than one submission takes
      [null, 8],
    ] as const) {
      expect(symbols.bm_program_submit(queue.handle, words.handle, given, count)).toBe(0);
      expect(lastCode()).toBe("argument");
    }
    expect(symbols.bm_program_submit(queue.handle, program.handle, four, 4)).toBe(0);
    expect(lastCode()).toBe("argument");
  });

  test("tickets that nobody has are refused", () => {
    for (const ticket of [0x7fffffff, 0xffffffff, 0x80000001]) {
      expect(statusNames[symbols.bm_queue_wait(device.queue.handle, ticket)]).toBe("range");
      expect(symbols.bm_queue_gpu_seconds(device.queue.handle, ticket)).toBeNaN();
    }
  });
});

checkLeaks();
