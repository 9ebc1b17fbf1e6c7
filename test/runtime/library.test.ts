// Shader libraries and pipelines: compiling, loading, and what the compiler says.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadBridge } from "../../src/ffi/index.ts";
import { BridgeError, CompileError, Device, ProgramBuilder, ReleasedError } from "../../src/runtime/index.ts";
import { compileKernels } from "./kernels.ts";
import { checkLeaks } from "./leaks.ts";

let device: Device;
beforeAll(() => {
  device = Device.open();
});
afterAll(() => device.dispose());

function compileError(source: string): CompileError {
  try {
    device.compile(source, { name: "broken.metal" }).dispose();
  } catch (error) {
    if (error instanceof CompileError) return error;
    throw error;
  }
  throw new Error(`Compiled, but should not have: ${source}`);
}

describe("Library", () => {
  test("Library has the names of its kernels", () => {
    using library = compileKernels(device);
    expect([...library.functionNames].sort()).toEqual([
      "add_amount",
      "copy_words",
      "count_groups",
      "spin",
      "sum_threads",
    ]);
  });

  test("Library.pipeline() is made once, and goes with the library", () => {
    const library = compileKernels(device);
    const pipeline = library.pipeline("add_amount");
    expect(library.pipeline("add_amount")).toBe(pipeline);
    expect(pipeline.name).toBe("add_amount");
    expect(pipeline.threadExecutionWidth).toBe(32);
    expect(pipeline.maxTotalThreadsPerThreadgroup).toBeGreaterThanOrEqual(256);
    expect(pipeline.staticThreadgroupMemoryLength).toBe(0);
    library.dispose();
    expect(pipeline.disposed).toBe(true);
    expect(() => library.pipeline("add_amount")).toThrow(ReleasedError);
  });

  test("Library.pipeline() refuses a name that the library does not have", () => {
    using library = compileKernels(device);
    expect(() => library.pipeline("subtract")).toThrow(expect.objectContaining({ code: "not-found" }));
    expect(() => library.pipeline("subtract")).toThrow('"subtract"');
    expect(() => library.pipeline("a\0b")).toThrow(TypeError);
  });

  test("Pipeline tells of the threadgroup memory that its kernel declares", () => {
    using library = device.compile(`
      #include <metal_stdlib>
      using namespace metal;
      kernel void reverse(device float *x [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
        threadgroup float scratch[100];
        scratch[i] = x[i];
        threadgroup_barrier(mem_flags::mem_threadgroup);
        x[i] = scratch[99 - i];
      }`);
    const pipeline = library.pipeline("reverse");
    expect(pipeline.staticThreadgroupMemoryLength).toBeGreaterThanOrEqual(400);
    using buffer = device.bufferFrom(Float32Array.from({ length: 100 }, (_, i) => i));
    using program = new ProgramBuilder(device)
      .dispatch({ pipeline, buffers: [{ buffer }], threadgroups: [1], threadsPerThreadgroup: [100] })
      .build();
    device.queue.run(program);
    expect([...buffer.view(Float32Array)]).toEqual(Array.from({ length: 100 }, (_, i) => 99 - i));
  });

  test("Library of templates has their host names", () => {
    using library = device.compile(`
      #include <metal_stdlib>
      using namespace metal;
      template <typename T>
      kernel void twice(device T *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = x[i] * T(2); }
      template [[host_name("twice_f32")]] kernel void twice<float>(device float *, uint);
      template [[host_name("twice_u32")]] kernel void twice<uint>(device uint *, uint);`);
    expect([...library.functionNames].sort()).toEqual(["twice_f32", "twice_u32"]);
    using buffer = device.bufferFrom(Uint32Array.of(1, 2, 3));
    using program = new ProgramBuilder(device)
      .dispatch({
        pipeline: library.pipeline("twice_u32"),
        buffers: [{ buffer }],
        threads: [3],
        threadsPerThreadgroup: [3],
      })
      .build();
    device.queue.run(program);
    expect([...buffer.view(Uint32Array)]).toEqual([2, 4, 6]);
  });
});

describe("Device.compile", () => {
  test("Device.compile() says where source is wrong", () => {
    const error = compileError(
      "#include <metal_stdlib>\n\nkernel void f(device float *x [[buffer(0)]]) {\n  x[0] = y;\n}\n",
    );
    expect(error.code).toBe("compile");
    const [first] = error.diagnostics.filter(({ severity }) => severity === "error");
    expect(first).toMatchObject({ file: "broken.metal", line: 4 });
    expect(first.message).toContain("y");
  });

  test("Device.compile() holds source to Metal's address spaces", () => {
    const error = compileError(
      "#include <metal_stdlib>\nkernel void f(device float *x [[buffer(0)]]) {\n  threadgroup float *y = x;\n  y[0] = 1;\n}\n",
    );
    expect(error.diagnostics.map(({ line }) => line)).toContain(3);
  });

  test("Device.compile() takes source without kernels, and empty source", () => {
    for (const source of ["", "\n", "// nothing", "#include <metal_stdlib>\n"]) {
      using library = device.compile(source);
      expect(library.functionNames).toEqual([]);
    }
  });

  test("Device.compile() survives source that is no source", () => {
    for (const source of ["}}}}", "kernel void", "\u{1F600}", "#include <nowhere>", '#error "no"', "/*"]) {
      expect(() => device.compile(source).dispose(), JSON.stringify(source)).toThrow(BridgeError);
    }
    expect(() => device.compile("// a\0b")).toThrow("NUL");
    expect(() => device.compile(5 as unknown as string)).toThrow(TypeError);
  });
});

describe("Device.loadLibrary", () => {
  test("Device.loadLibrary() loads compiled shaders", () => {
    const folder = dirname(loadBridge().path);
    const isCuda = device.info.backend === "cuda";
    const compiled = join(folder, isCuda ? "../cuda/shaders.metallib" : "shaders.metallib");
    if (!existsSync(compiled)) return; // Apple's, without Xcode.
    using library = device.loadLibrary(compiled);
    expect(library.functionNames).toContain("add_f32");
  });

  test("Device.loadLibrary() refuses what is no library", () => {
    expect(() => device.loadLibrary("/nowhere/x.metallib")).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
    for (const path of [import.meta.filename, import.meta.dirname, process.execPath, "/dev/null", ""]) {
      expect(() => device.loadLibrary(path), path).toThrow(BridgeError);
    }
  });
});

checkLeaks();
