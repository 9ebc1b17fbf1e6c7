/** Cases of rope.metal. */

import * as reference from "../../reference/kernels.ts";
import { args, f32, f32Bound, input, type KernelCase, normal, output, u32 } from "../case.ts";
import { tile } from "../tiles.ts";

const threads = tile("ElementwiseThreads");

const shapes = [
  { rows: 1, heads: 1, headDim: 2, rotaryDims: 2, firstPosition: 0 },
  { rows: 3, heads: 8, headDim: 32, rotaryDims: 32, firstPosition: 5 },
  { rows: 2, heads: 3, headDim: 80, rotaryDims: 32, firstPosition: 100 },
  { rows: 2, heads: 5, headDim: 6, rotaryDims: 4, firstPosition: 1000, magnitude: 0.5 },
  { rows: 1, heads: 32, headDim: 64, rotaryDims: 64, firstPosition: 2047 },
  { rows: 2, heads: 9, headDim: 128, rotaryDims: 128, firstPosition: 131000, magnitude: 1.25 },
  { rows: 1, heads: 2, headDim: 10, rotaryDims: 0, firstPosition: 3 },
] as const;

const pairings = { rope_interleaved_f32: "interleaved", rope_half_f32: "half" } as const;

export const ropeCases: readonly KernelCase[] = Object.entries(pairings).flatMap(([kernel, pairing]) =>
  shapes.flatMap(({ firstPosition, ...rest }) =>
    [false, true].map((inPlace): KernelCase => {
      const { magnitude, ...shape } = { magnitude: 1, ...rest };
      const { rows, heads, headDim, rotaryDims } = shape;
      return {
        kernel,
        shape: `${JSON.stringify(shape).replaceAll(/[{}"]/g, "")} magnitude:${magnitude} from position ${firstPosition}${inPlace ? " in place" : ""}`,
        bound: f32Bound,
        build: (random) => {
          const x = normal(random, rows * heads * headDim);
          const positions = Uint32Array.from({ length: rows }, (_, r) => firstPosition + 3 * r);
          // One more than needed, so that the buffer is never empty.
          const frequencies = Float32Array.from(
            { length: rotaryDims / 2 + 1 },
            (_, p) => 10000 ** ((-2 * p) / rotaryDims),
          );
          const expected = reference.rope(x, positions, frequencies, shape, pairing, magnitude);
          const initial = new Uint8Array(x.buffer);
          return {
            buffers: inPlace
              ? [
                  { kind: "alias", of: 3 },
                  input(positions),
                  input(frequencies),
                  output("f32", expected, initial),
                ]
              : [input(x), input(positions), input(frequencies), output("f32", expected)],
            args: args(u32(heads), u32(headDim), u32(rotaryDims), f32(magnitude)),
            threadgroups: [Math.ceil((heads * headDim) / 2 / threads), rows, 1],
            threads,
          };
        },
      };
    }),
  ),
);
