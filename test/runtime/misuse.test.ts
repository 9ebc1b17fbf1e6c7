// What must not be done: each a typed error that names the cause, and the process lives on.
import { describe, expect, test } from "bun:test";
import { type Handle, type Symbols, statisticNames, statusNames } from "../../src/ffi/index.ts";
import {
  type Buffer,
  Device,
  type Library,
  type Owned,
  type Program,
  ProgramBuilder,
  ReleasedError,
} from "../../src/runtime/index.ts";
import { addProgram, compileKernels, spinProgram } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";
import { errorOf, expectRefused, lastCode } from "./refusals.ts";
import { useWorkingDevice } from "./working_device.ts";

let device: Device;
let library: Library;
let values: Buffer;
let program: Program;
let symbols: Symbols;

useWorkingDevice((parts) => {
  ({ device, library, values, program, symbols } = parts);
});

describe("releasing", () => {
  test("dispose() twice is fine", () => {
    const before = Device.liveHandles();
    const objects: Owned[] = [
      device.buffer(16),
      device.createQueue(),
      compileKernels(device),
      addProgram(device, library, values),
      Device.open(),
    ];
    for (const object of [...objects, ...objects]) object.dispose();
    for (const object of objects) expect(object.disposed).toBe(true);
    expect(Device.liveHandles()).toEqual(before);
  });

  test("bm_release() twice is an error, also when the slot serves another object", () => {
    const handle = symbols.bm_buffer_new(device.handle, 64, 0);
    expect(handle).not.toBe(0);
    expect(symbols.bm_release(handle)).toBe(0);
    expect(symbols.bm_release(handle)).toBe(statusNames.indexOf("handle"));
    const others = Array.from({ length: 2000 }, () => symbols.bm_buffer_new(device.handle, 64, 0));
    expect(others).not.toContain(handle);
    expect(symbols.bm_release(handle)).toBe(statusNames.indexOf("handle"));
    expect(symbols.bm_buffer_length(handle)).toBeNaN();
    for (const other of others) expect(symbols.bm_release(other)).toBe(0);
  });

  test("bm_release() refuses numbers that are no handles", () => {
    for (const handle of [0, 1, 0xffffffff, 0x7fffffff, (values.handle ^ 0x80000000) >>> 0]) {
      expect(symbols.bm_release(handle)).toBe(statusNames.indexOf("handle"));
      expect(lastCode()).toBe("handle");
    }
  });

  test("use after release throws a ReleasedError that names the object", () => {
    const buffer = device.buffer(64, { label: "scratch" });
    const queue = device.createQueue();
    const own = compileKernels(device);
    const pipeline = own.pipeline("spin");
    const again = addProgram(device, library, values);
    const other = Device.open();
    for (const object of [buffer, queue, own, again, other]) object.dispose();
    const bytes = new Uint8Array(4);
    const uses: readonly (() => unknown)[] = [
      () => buffer.bytes(),
      () => buffer.view(Float32Array),
      () => buffer.upload(bytes),
      () => buffer.download(bytes),
      () => buffer.fill(0),
      () => buffer.copyFrom(values, 0, 0, 4),
      () => values.copyFrom(buffer, 0, 0, 4),
      () => new ProgramBuilder(device).fill(buffer, 0, 4, 0),
      () => new ProgramBuilder(device).dispatch({ pipeline, threads: [1], threadsPerThreadgroup: [1] }),
      () => queue.run(program),
      () => queue.gpuSeconds,
      () => device.queue.run(again),
      () => own.functionNames,
      () => own.pipeline("spin"),
      () => other.queue,
      () => other.buffer(4),
      () => other.bufferFrom(bytes),
      () => other.wrap(bytes),
      () => other.mapFile(import.meta.filename),
      () => other.compile(""),
      () => other.loadLibrary(""),
      () => other.createQueue(),
      () => other.shaders(),
      () => other.allocatedBytes,
    ];
    for (const use of uses) {
      const error = errorOf(use);
      expect(error, use.toString()).toBeInstanceOf(ReleasedError);
      expect(error.message).toMatch(/ was disposed before this use$/);
    }
    expect(errorOf(() => buffer.bytes()).message).toContain('"scratch"');
  });

  test("a builder whose buffer is disposed before build() is refused", () => {
    const buffer = device.buffer(64);
    const builder = new ProgramBuilder(device).fill(buffer, 0, 64, 0);
    buffer.dispose();
    expectRefused(() => builder.build(), ["handle"]);
  });

  test("a buffer released while a program that uses it is in flight is safe", async () => {
    for (let round = 0; round < 20; round++) {
      const buffer = device.buffer(64);
      const spin = spinProgram(device, library, buffer, 200_000);
      const promises = [device.queue.submit(spin), device.queue.submit(spin)];
      expect(symbols.bm_release(buffer.handle)).toBe(0);
      // The memory must not serve anybody else yet.
      using next = device.buffer(64);
      await Promise.all(promises);
      expect(next.bytes().every((byte) => byte === 0)).toBe(true);
      spin.dispose();
      // Its handle is stale now: disposing says so, and the object is gone all the same.
      expectRefused(() => buffer.dispose(), ["handle"]);
      expect(buffer.disposed).toBe(true);
    }
  });
});

describe("handles of the wrong kind", () => {
  test("every function refuses them", () => {
    const handles: Readonly<Record<string, Handle>> = {
      device: device.handle,
      buffer: values.handle,
      library: library.handle,
      pipeline: library.pipeline("spin").handle,
      queue: device.queue.handle,
      program: program.handle,
      none: 0,
      stale: 0xdeadbeef,
    };
    const out = new Uint8Array(4096);
    const numbers = new Float64Array(16);
    const name = new TextEncoder().encode("spin\0");
    const uses: readonly [string, string, (handle: Handle) => unknown][] = [
      ["bm_device_text", "device", (h) => symbols.bm_device_text(h, 0, out, 100)],
      ["bm_device_numbers", "device", (h) => symbols.bm_device_numbers(h, numbers, 10)],
      ["bm_buffer_new", "device", (h) => symbols.bm_buffer_new(h, 64, 0)],
      ["bm_buffer_wrap", "device", (h) => symbols.bm_buffer_wrap(h, out, 4096)],
      ["bm_buffer_map", "device", (h) => symbols.bm_buffer_map(h, name, 0, 0)],
      ["bm_library_from_source", "device", (h) => symbols.bm_library_from_source(h, out, 0, name)],
      ["bm_library_from_file", "device", (h) => symbols.bm_library_from_file(h, name)],
      ["bm_queue_new", "device", (h) => symbols.bm_queue_new(h, null)],
      ["bm_program_new", "device", (h) => symbols.bm_program_new(h, out, 16)],
      ["bm_buffer_length", "buffer", (h) => symbols.bm_buffer_length(h)],
      ["bm_buffer_contents", "buffer", (h) => symbols.bm_buffer_contents(h)],
      ["bm_library_functions", "library", (h) => symbols.bm_library_functions(h, out, 100)],
      ["bm_pipeline_new", "library", (h) => symbols.bm_pipeline_new(h, name)],
      ["bm_pipeline_numbers", "pipeline", (h) => symbols.bm_pipeline_numbers(h, numbers, 3)],
      ["bm_queue_wait", "queue", (h) => symbols.bm_queue_wait(h, 0)],
      ["bm_queue_gpu_seconds", "queue", (h) => symbols.bm_queue_gpu_seconds(h, 0)],
      ["bm_program_run, queue", "queue", (h) => symbols.bm_program_run(h, handles.program, null, 0)],
      ["bm_program_run, program", "program", (h) => symbols.bm_program_run(handles.queue, h, null, 0)],
      ["bm_program_submit, queue", "queue", (h) => symbols.bm_program_submit(h, handles.program, null, 0)],
      ["bm_program_submit, program", "program", (h) => symbols.bm_program_submit(handles.queue, h, null, 0)],
      ["bm_buffer_fill, queue", "queue", (h) => symbols.bm_buffer_fill(h, handles.buffer, 0, 4, 0)],
      ["bm_buffer_fill, buffer", "buffer", (h) => symbols.bm_buffer_fill(handles.queue, h, 0, 4, 0)],
      ["bm_buffer_upload", "buffer", (h) => symbols.bm_buffer_upload(handles.queue, h, 0, out, 4)],
      ["bm_buffer_download", "buffer", (h) => symbols.bm_buffer_download(handles.queue, h, 0, out, 4)],
      [
        "bm_buffer_copy, from",
        "buffer",
        (h) => symbols.bm_buffer_copy(handles.queue, h, 0, handles.buffer, 8, 4),
      ],
      [
        "bm_buffer_copy, to",
        "buffer",
        (h) => symbols.bm_buffer_copy(handles.queue, handles.buffer, 0, h, 8, 4),
      ],
    ];
    for (const [use, right, call] of uses) {
      for (const [kind, handle] of Object.entries(handles)) {
        if (kind === right) continue;
        // A failure of another code first, so that what is read afterwards is this call's.
        symbols.bm_device_open(0xffffffff, 0);
        expect(lastCode()).toBe("not-found");
        const result = call(handle);
        const refused = result === 0 || result === null || Number.isNaN(result) || result === 1;
        expect([use, kind, refused, lastCode()]).toEqual([use, kind, true, "handle"]);
      }
    }
  });

  test("objects of another device are refused, or work where it is the same device", () => {
    using other = Device.open();
    using queue = other.createQueue();
    values.fill(0);
    queue.run(program);
    expect(values.view(Float32Array)[0]).toBe(1);
  });
});

describe("sizes and ranges", () => {
  test("buffers of no or absurd size are refused", () => {
    for (const size of [
      0,
      -1,
      0.5,
      1e9 + 0.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 53,
      2 ** 64,
      1e300,
    ]) {
      expectRefused(() => device.buffer(size), ["argument", "range", "memory"]);
      expectRefused(() => device.buffer(size, { storage: "private" }), ["argument", "range", "memory"]);
    }
    expectRefused(() => device.buffer(2 ** 53 - 1), ["range", "memory"]);
    expectRefused(() => device.buffer(device.info.maxBufferLength + 1), ["range", "memory"]);
    expect(() => device.buffer("64" as unknown as number)).toThrow(TypeError);
    expect(() => device.buffer(64n as unknown as number)).toThrow(TypeError);
    expect(() => device.buffer(64, { storage: "warm" as "shared" })).toThrow(TypeError);
    expectRefused(() => device.bufferFrom(new Uint8Array(0)), ["argument", "range"]);
  });

  test("ranges outside of a buffer are refused, however they overflow", () => {
    using small = device.buffer(100);
    const outside: readonly [number, number][] = [
      [0, 101],
      [100, 1],
      [1, 100],
      [2 ** 32, 1],
      [2 ** 53 - 1, 1],
      [1, 2 ** 53 - 1],
      [2 ** 53, 2 ** 53],
      [2 ** 63, 2 ** 63],
      [-1, 1],
      [1, -1],
      [0.5, 1],
      [0, 1.5],
      [Number.NaN, 1],
      [0, Number.NaN],
      [Number.POSITIVE_INFINITY, 1],
    ];
    for (const [offset, length] of outside) {
      const codes = ["range", "argument"] as const;
      expectRefused(() => small.fill(0, offset, length), codes);
      expectRefused(() => values.copyFrom(small, offset, 0, length), codes);
      expectRefused(() => small.copyFrom(values, 0, offset, length), codes);
      const queue = device.queue.handle;
      const bytes = new Uint8Array(256);
      const statuses = [
        symbols.bm_buffer_upload(queue, small.handle, offset, bytes, length),
        symbols.bm_buffer_download(queue, small.handle, offset, bytes, length),
      ].map((status) => statusNames[status]);
      for (const status of statuses) expect<string[]>(["range", "argument"]).toContain(status);
    }
    expectRefused(() => small.upload(new Uint8Array(50), 51), ["range"], /51/);
    expectRefused(() => small.download(new Uint8Array(101)), ["range"], /101/);
  });

  test("copies within a buffer that overlap are refused", () => {
    expectRefused(() => values.copyFrom(values, 0, 10, 11), ["argument", "range", "validation"]);
    values.copyFrom(values, 0, 10, 10);
  });

  test("bytes to fill with have to be bytes", () => {
    expectRefused(() => values.fill(256), ["argument", "range"]);
    expect(() => values.fill(-1)).toThrow(RangeError);
    expect(() => values.fill(0.5)).toThrow(RangeError);
  });

  test("NULL where memory is meant is refused", () => {
    const queue = device.queue.handle;
    const nothing = [
      symbols.bm_buffer_upload(queue, values.handle, 0, null, 4),
      symbols.bm_buffer_download(queue, values.handle, 0, null, 4),
      symbols.bm_device_count(null),
      symbols.bm_device_numbers(device.handle, null, 4),
    ].map((status) => statusNames[status]);
    expect(nothing).toEqual(["argument", "argument", "argument", "argument"]);
    const none = [
      symbols.bm_buffer_wrap(device.handle, null, device.info.pageSize),
      symbols.bm_buffer_map(device.handle, null, 0, 0),
      symbols.bm_library_from_source(device.handle, null, 4, null),
      symbols.bm_library_from_file(device.handle, null),
      symbols.bm_pipeline_new(library.handle, null),
      symbols.bm_program_new(device.handle, null, 16),
    ];
    expect(none).toEqual([0, 0, 0, 0, 0, 0]);
    expect(lastCode()).toBe("argument");
    // A capacity of 0 asks for the length only.
    expect(symbols.bm_device_text(device.handle, 0, null, 0)).toBeGreaterThan(0);
    expect(symbols.bm_error_message(null, 0)).toBeGreaterThan(0);
    expect(symbols.bm_statistics(null, 0)).toBe(statisticNames.length);
  });
});

checkLeaks();
