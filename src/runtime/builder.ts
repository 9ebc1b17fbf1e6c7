/** Makes programs for a device. */
import type { DeviceContext } from "./context.ts";
import { Program } from "./program.ts";
import { ProgramWriter } from "./writer.ts";

/** How to build a program. */
export interface ProgramOptions {
  /** 32-bit words that each run brings. Default 0. */
  readonly dynamicWords?: number;
  /** What messages call the program. */
  readonly label?: string;
}

/** Collects the operations of a program of a device; the bridge checks the whole when it is built. */
export class ProgramBuilder extends ProgramWriter {
  readonly #device: DeviceContext;

  constructor(device: DeviceContext, options: ProgramOptions = {}) {
    super(options.dynamicWords ?? 0, options.label === undefined ? "program" : `program "${options.label}"`);
    this.#device = device;
  }

  /**
   * Has the bridge check the program, and keep it with all that it uses.
   *
   * @throws {BridgeError} `validation`, `argument`, `range` or `handle`: which operation breaks which rule.
   */
  build(): Program {
    const { bridge } = this.#device;
    const bytes = this.encode();
    const handle = bridge.symbols.bm_program_new(this.#device.handle, bytes, bytes.byteLength);
    if (handle === 0) throw bridge.failure(`Cannot build ${this.label} of ${this.operationCount} operations`);
    return new Program(
      bridge,
      handle,
      this.label,
      { ...this.counts, byteLength: bytes.byteLength },
      this.keeps,
    );
  }
}
