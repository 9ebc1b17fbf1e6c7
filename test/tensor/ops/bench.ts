/** A place to build one operation at a time. No device is needed for it. Support for the tests of this folder. */
import { describe, expect, test } from "bun:test";
import * as ops from "../../../src/tensor/index.ts";
import { Nodes } from "../../../src/tensor/nodes.ts";
import type { Dispatch, GridAxis } from "../../../src/tensor/operation.ts";
import type { Rows, Shape } from "../../../src/tensor/shape.ts";

type Tensor = ops.Tensor;

/** A graph with tensors of any type and shape at hand. */
export class Bench {
  readonly nodes: Nodes = new Nodes();
  readonly rows: Rows = this.nodes.rows("rows", 8);
  readonly others: Rows = this.nodes.rows("others", 8);
  #count = 0;

  f32(...shape: Shape): Tensor {
    return this.of("f32", ...shape);
  }

  u32(...shape: Shape): Tensor {
    return this.of("u32", ...shape);
  }

  of(dtype: ops.DType, ...shape: Shape): Tensor {
    return this.nodes.input(`t${this.#count++}`, dtype, shape);
  }

  constant(dtype: ops.DType, ...shape: number[]): Tensor {
    return this.nodes.constant({ byteLength: 1 << 20 }, dtype, shape);
  }

  /** Two of eight experts for each of `rows`. */
  routes(): Tensor {
    return ops.routeExperts(this.f32(this.rows, 8), 2).ids;
  }

  cache(dtype: ops.DType = "f16", slots = 32, n = 16, blocks: Shape = [2, 4]): ops.PagedCache {
    return {
      keys: this.constant(dtype, slots, n),
      values: this.constant(dtype, slots, n),
      blockTables: this.u32(...blocks),
      blockSize: 8,
    };
  }

  /** The launch of the latest operation. */
  launch(simdgroupMatrix = true, serialLanes = false): Dispatch {
    const operation = this.nodes.operations.at(-1);
    if (operation === undefined) throw new Error("no operation was built");
    return operation.encode({ simdgroupMatrix, serialLanes });
  }
}

/** Groups along an axis, where dynamic rows are `[factor]`. */
export function groups(axis: GridAxis | undefined): unknown {
  if (axis === undefined) return 1;
  const { extent, itemsPerGroup } = axis;
  return typeof extent === "number"
    ? Math.ceil(extent / itemsPerGroup)
    : { [extent.rows.name]: extent.factor, per: itemsPerGroup };
}

export function u32s(args: Uint8Array): number[] {
  return [...new Uint32Array(args.slice().buffer)];
}

export function f32At(args: Uint8Array, index: number): number {
  return new Float32Array(args.slice().buffer)[index];
}

/** An operation, and its result as text. */
export type ShapeCase = readonly [string, (b: Bench) => Tensor, string];

export function testShapes(cases: readonly ShapeCase[]): void {
  describe("operations give results of the documented type and shape", () => {
    test.each(cases)("%s() has its result's shape", (_, build, expected) => {
      expect(String(build(new Bench()))).toBe(expected);
    });
  });
}

/** An operation whose operands do not fit, and what is said of it. */
export type Refusal = readonly [string, (b: Bench) => unknown, typeof TypeError | typeof RangeError, string];

export function testRefusals(cases: readonly Refusal[]): void {
  describe("operations refuse operands that do not fit", () => {
    test.each(cases)("%s is refused", (_, build, type, message) => {
      let thrown: unknown;
      try {
        build(new Bench());
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(type);
      expect(String(thrown)).toContain(message);
    });
  });
}
