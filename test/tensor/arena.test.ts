import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ARENA_ALIGNMENT, type Block, placeBlocks } from "../../src/tensor/arena.ts";

const block = fc
  .tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 8 }))
  .map(([byteLength, first, length]): Block => ({ byteLength, first, last: first + length }));

describe("placeBlocks", () => {
  test("placeBlocks() never overlaps blocks that live at the same time", () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 40 }), (blocks) => {
        const { offsets, byteLength } = placeBlocks(blocks);
        blocks.forEach((a, i) => {
          expect(offsets[i] % ARENA_ALIGNMENT).toBe(0);
          expect(offsets[i] + a.byteLength).toBeLessThanOrEqual(byteLength);
          blocks.slice(0, i).forEach((b, j) => {
            const together = a.first <= b.last && b.first <= a.last;
            const apart = offsets[i] + a.byteLength <= offsets[j] || offsets[j] + b.byteLength <= offsets[i];
            expect(!together || apart).toBe(true);
          });
        });
      }),
      { numRuns: 300 },
    );
  });

  test("placeBlocks() needs no more than the sum, and no less than the most that lives at once", () => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 30 }), (blocks) => {
        const size = ({ byteLength }: Block): number =>
          Math.ceil(byteLength / ARENA_ALIGNMENT) * ARENA_ALIGNMENT;
        const sum = (some: readonly Block[]): number => some.reduce((total, b) => total + size(b), 0);
        const times = blocks.map(({ first }) => first);
        const most = Math.max(...times.map((t) => sum(blocks.filter((b) => b.first <= t && t <= b.last))));
        const { byteLength } = placeBlocks(blocks);
        expect(byteLength).toBeGreaterThanOrEqual(most);
        expect(byteLength).toBeLessThanOrEqual(sum(blocks));
      }),
      { numRuns: 300 },
    );
  });

  test("placeBlocks() reuses memory in a chain, where two live at a time", () => {
    const chain = Array.from({ length: 100 }, (_, i) => ({ byteLength: 1024, first: i, last: i + 1 }));
    expect(placeBlocks(chain).byteLength).toBe(2048);
  });

  test("placeBlocks() takes the smallest gap that fits", () => {
    const blocks = [
      { byteLength: 2048, first: 0, last: 1 }, // leaves a gap of 2048 at 0 from time 2
      { byteLength: 1536, first: 0, last: 9 },
      { byteLength: 1024, first: 0, last: 1 }, // leaves a gap of 1024
      { byteLength: 768, first: 0, last: 9 },
      { byteLength: 512, first: 2, last: 9 },
    ];
    const { offsets } = placeBlocks(blocks);
    expect(offsets).toEqual([0, 2048, 3584, 4608, 3584]);
  });

  test("placeBlocks() of nothing is empty", () => {
    expect(placeBlocks([])).toEqual({ offsets: [], byteLength: 0 });
  });
});
