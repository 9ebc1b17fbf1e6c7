/** A device with a program that must still work after every test of a file, whatever the test did to it. */
import { afterAll, afterEach, beforeAll, expect } from "bun:test";
import { loadBridge, type Symbols } from "../../src/ffi/index.ts";
import { type Buffer, Device, type Library, type Program } from "../../src/runtime/index.ts";
import { addProgram, compileKernels } from "./kernels.ts";

/** What `useWorkingDevice` hands to a file's tests. */
export type WorkingDevice = {
  readonly device: Device;
  /** The kernels of kernels.ts. */
  readonly library: Library;
  /** 1024 bytes that `program` adds 1 to, as floats. */
  readonly values: Buffer;
  readonly program: Program;
  readonly symbols: Symbols;
};

/** Makes all of it before the file's tests, hands it over, checks after each test that work still works, and disposes it. */
export function useWorkingDevice(receive: (parts: WorkingDevice) => void): void {
  let parts: WorkingDevice;
  beforeAll(() => {
    const device = Device.open();
    const library = compileKernels(device);
    const values = device.buffer(1024);
    parts = {
      device,
      library,
      values,
      program: addProgram(device, library, values),
      symbols: loadBridge().symbols,
    };
    receive(parts);
  });
  afterAll(() => {
    for (const object of [parts.program, parts.values, parts.library, parts.device]) object.dispose();
  });
  afterEach(() => {
    parts.values.fill(0);
    parts.device.queue.run(parts.program);
    expect(parts.values.view(Float32Array).every((x) => x === 1)).toBe(true);
  });
}
