/** Runs kernels of these tests' shaders on the CPU device, through the public runtime. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Device, type Dispatch, type Library, ProgramBuilder } from "../../src/runtime/index.ts";
import { shaders } from "./msl_tool.ts";

/** What a buffer is filled from and read into. */
export type Numbers =
  | Float32Array
  | Int32Array
  | Uint32Array
  | Uint16Array
  | Int16Array
  | Int8Array
  | Uint8Array;

/** A device with the libraries that were asked for, compiled once each. */
export class ShaderBench implements Disposable {
  readonly #device: Device = Device.open("cpu");
  readonly #libraries = new Map<string, Library>();

  /** The library of `msl/<file>.metal`. */
  library(file: string): Library {
    let found = this.#libraries.get(file);
    if (found === undefined) {
      found = this.#device.compile(readFileSync(join(shaders, `${file}.metal`), "utf8"), {
        name: `${file}.metal`,
      });
      this.#libraries.set(file, found);
    }
    return found;
  }

  /** Runs a kernel over buffers with these contents, and copies back what is in them afterwards. */
  run(file: string, kernel: string, buffers: readonly Numbers[], how: Partial<Dispatch>): void {
    const made = buffers.map((data) => this.#device.bufferFrom(data));
    try {
      using program = new ProgramBuilder(this.#device)
        .dispatch({
          pipeline: this.library(file).pipeline(kernel),
          buffers: made.map((buffer) => ({ buffer })),
          threadsPerThreadgroup: [1],
          ...how,
        })
        .build();
      this.#device.queue.run(program);
      for (const [index, data] of buffers.entries()) made[index]?.download(data);
    } finally {
      for (const buffer of made) buffer[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    for (const library of this.#libraries.values()) library[Symbol.dispose]();
    this.#device[Symbol.dispose]();
  }
}

/** Threads in one row of threadgroups of `size`. */
export function line(threads: number, size: number): Partial<Dispatch> {
  return { threads: [threads], threadsPerThreadgroup: [size] };
}

/** An array of what `make` returns for 0, 1, ... */
export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
