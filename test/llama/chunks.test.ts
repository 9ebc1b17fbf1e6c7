import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ChunkLimits, type FileRange, planChunks } from "../../src/llama/chunks.ts";
import { ModelError } from "../../src/llama/errors.ts";

const GIB = 2 ** 30;

function range(offset: number, byteLength: number, name = `at ${offset}`): FileRange {
  return { name, offset, byteLength };
}

const limits: fc.Arbitrary<ChunkLimits> = fc
  .tuple(fc.constantFrom(16, 64, 4096), fc.integer({ min: 8, max: 40 }), fc.nat({ max: 15 }))
  // Not every device's limit is a multiple of its page.
  .map(([pageSize, pages, more]) => ({ pageSize, maxBufferLength: pages * pageSize + more }));

/** Tensors one behind the other, with gaps of up to some pages, each of at most seven pages; the first anywhere. */
function ranges({ pageSize }: ChunkLimits): fc.Arbitrary<FileRange[]> {
  const gap = fc.oneof(fc.constant(0), fc.nat({ max: pageSize }), fc.nat({ max: 5 * pageSize }));
  const length = fc.integer({ min: 1, max: 6 * pageSize });
  return fc
    .tuple(fc.nat({ max: 2 ** 40 }), fc.array(fc.tuple(gap, length), { maxLength: 40 }))
    .chain(([first, pieces]) => {
      let end = first;
      const inOrder = pieces.map(([before, byteLength]) => {
        const offset = end + before;
        end = offset + byteLength;
        return range(offset, byteLength);
      });
      return fc.shuffledSubarray(inOrder, { minLength: inOrder.length });
    });
}

const cases = limits.chain((limit) => fc.tuple(fc.constant(limit), ranges(limit)));

/** All pages that some bytes touch. */
function pagesOf(offset: number, byteLength: number, pageSize: number): number[] {
  const first = Math.floor(offset / pageSize);
  const last = Math.floor((offset + byteLength - 1) / pageSize);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** The fewest chunks, by trying every way to cut the ranges in order: dynamic programming over the cuts. */
function fewestChunks(all: readonly FileRange[], { pageSize, maxBufferLength }: ChunkLimits): number {
  const sorted = all.toSorted((a, b) => a.offset - b.offset);
  const fewest = [0];
  for (let end = 1; end <= sorted.length; end++) {
    let best = Number.POSITIVE_INFINITY;
    const pages = new Set<number>();
    for (let start = end - 1; start >= 0; start--) {
      for (const page of pagesOf(sorted[start].offset, sorted[start].byteLength, pageSize)) pages.add(page);
      const span = Math.max(...pages) - Math.min(...pages) + 1;
      if (span === pages.size && span * pageSize <= maxBufferLength) best = Math.min(best, fewest[start] + 1);
    }
    fewest.push(best);
  }
  return fewest[sorted.length];
}

describe("planChunks", () => {
  test("planChunks() puts each range whole into one chunk that a device can map", () => {
    fc.assert(
      fc.property(cases, ([limit, all]) => {
        const { chunks, places } = planChunks(all, limit);
        expect(places.length).toBe(all.length);
        for (const { offset, byteLength } of chunks) {
          expect(offset % limit.pageSize).toBe(0);
          const pages = Math.ceil(byteLength / limit.pageSize) * limit.pageSize;
          expect(pages).toBeLessThanOrEqual(limit.maxBufferLength);
        }
        all.forEach(({ offset, byteLength }, i) => {
          const chunk = chunks[places[i].chunk];
          expect(chunk.offset + places[i].offset).toBe(offset);
          expect(places[i].offset).toBeGreaterThanOrEqual(0);
          expect(places[i].offset + byteLength).toBeLessThanOrEqual(chunk.byteLength);
        });
      }),
      { numRuns: 300 },
    );
  });

  test("planChunks() takes no page that no range needs, and no byte behind the last one", () => {
    fc.assert(
      fc.property(cases, ([limit, all]) => {
        const { chunks, places } = planChunks(all, limit);
        chunks.forEach(({ offset, byteLength }, i) => {
          const inside = all.filter((_, k) => places[k].chunk === i);
          const needed = new Set(inside.flatMap((r) => pagesOf(r.offset, r.byteLength, limit.pageSize)));
          const taken = pagesOf(offset, byteLength, limit.pageSize);
          expect([...needed].sort((a, b) => a - b)).toEqual(taken);
          expect(offset + byteLength).toBe(Math.max(...inside.map((r) => r.offset + r.byteLength)));
        });
      }),
      { numRuns: 300 },
    );
  });

  test("planChunks() makes as few chunks as there can be", () => {
    fc.assert(
      fc.property(cases, ([limit, all]) => {
        expect(planChunks(all, limit).chunks.length).toBe(fewestChunks(all, limit));
      }),
      { numRuns: 300 },
    );
  });

  test("planChunks() needs one chunk where the device allows it, and none for nothing", () => {
    const limit = { pageSize: 16384, maxBufferLength: 8 * GIB };
    expect(planChunks([], limit)).toEqual({ chunks: [], places: [] });
    const all = [range(5 * GIB, GIB), range(1000, 5 * GIB - 1000)];
    expect(planChunks(all, limit)).toEqual({
      chunks: [{ offset: 0, byteLength: 6 * GIB }],
      places: [
        { chunk: 0, offset: 5 * GIB },
        { chunk: 0, offset: 1000 },
      ],
    });
  });

  test("planChunks() lets two chunks share a page, and cuts out what no range needs", () => {
    const limit = { pageSize: 4096, maxBufferLength: 4 * 4096 };
    const all = [range(100, 10_000), range(10_100, 9_000), range(100_000, 10)];
    expect(planChunks(all, limit)).toEqual({
      chunks: [
        { offset: 0, byteLength: 10_100 },
        { offset: 8192, byteLength: 19_100 - 8192 },
        { offset: 98_304, byteLength: 1706 },
      ],
      places: [
        { chunk: 0, offset: 100 },
        { chunk: 1, offset: 10_100 - 8192 },
        { chunk: 2, offset: 1696 },
      ],
    });
  });

  test("planChunks() takes a range of exactly the limit, and names one that is over it", () => {
    const limit = { pageSize: 4096, maxBufferLength: 3 * 4096 };
    expect(planChunks([range(4096, 3 * 4096)], limit).chunks.length).toBe(1);
    const over = [range(0, 10), range(4095, 2 * 4096 + 2, "output.weight")]; // a byte on either side of two pages
    expect(() => planChunks(over, limit)).toThrow(
      'Cannot place tensor "output.weight": in whole pages its data take 16384 bytes, and the device\'s largest buffer has 12288',
    );
    try {
      planChunks(over, limit);
    } catch (error) {
      expect(error).toBeInstanceOf(ModelError);
      expect(error).toHaveProperty("field", "output.weight");
    }
  });
});
