import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HazardTracker, type MemoryRange, RangeSet } from "../../src/tensor/hazards.ts";

const range = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 12 }))
  .map(([start, length]) => ({ start, end: start + length }));
const memoryRange = fc
  .tuple(fc.constantFrom("a", "b"), range)
  .map(([memory, bounds]): MemoryRange => ({ memory, ...bounds }));
const dispatch = fc.record({
  reads: fc.array(memoryRange, { maxLength: 3 }),
  writes: fc.array(memoryRange, { maxLength: 2 }),
});

/** Every byte of some ranges, as text. */
function bytesOf(ranges: readonly MemoryRange[]): string[] {
  return ranges.flatMap(({ memory, start, end }) =>
    Array.from({ length: end - start }, (_, i) => `${memory}${start + i}`),
  );
}

describe("RangeSet", () => {
  test("RangeSet agrees with a set of all its numbers", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 12 }), range, (added, probe) => {
        const ranges = new RangeSet();
        const numbers = new Set<number>();
        for (const { start, end } of added) {
          ranges.add(start, end);
          for (let i = start; i < end; i++) numbers.add(i);
        }
        let expected = false;
        for (let i = probe.start; i < probe.end; i++) expected ||= numbers.has(i);
        expect(ranges.overlaps(probe.start, probe.end)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });
});

describe("HazardTracker", () => {
  test("HazardTracker.next() asks for barriers exactly where an oracle on single bytes does", () => {
    fc.assert(
      fc.property(fc.array(dispatch, { maxLength: 20 }), (dispatches) => {
        const tracker = new HazardTracker();
        let read = new Set<string>();
        let written = new Set<string>();
        for (const { reads, writes } of dispatches) {
          const hazard =
            bytesOf(reads).some((byte) => written.has(byte)) ||
            bytesOf(writes).some((byte) => written.has(byte) || read.has(byte));
          if (hazard) {
            read = new Set();
            written = new Set();
          }
          for (const byte of bytesOf(reads)) read.add(byte);
          for (const byte of bytesOf(writes)) written.add(byte);
          expect(tracker.next(reads, writes)).toBe(hazard);
        }
      }),
      { numRuns: 500 },
    );
  });

  const at = (start: number, end: number, memory = "a"): MemoryRange => ({ memory, start, end });

  test.each([
    ["read after write", [], [at(0, 8)], [at(7, 9)], [], true],
    ["write after read", [at(0, 8)], [], [], [at(7, 9)], true],
    ["write after write", [], [at(0, 8)], [], [at(0, 1)], true],
    ["read after read", [at(0, 8)], [], [at(0, 8)], [], false],
    ["neighbouring bytes", [], [at(0, 8)], [at(8, 16)], [], false],
    ["the same bytes of other memory", [], [at(0, 8)], [at(0, 8, "b")], [], false],
  ])("HazardTracker.next() on %s", (_, reads, writes, nextReads, nextWrites, barrier) => {
    const tracker = new HazardTracker();
    expect(tracker.next(reads, writes)).toBe(false);
    expect(tracker.next(nextReads, nextWrites)).toBe(barrier);
  });

  test("HazardTracker.next() forgets what was before a barrier", () => {
    const tracker = new HazardTracker();
    tracker.next([], [at(0, 8)]);
    expect(tracker.next([at(0, 8)], [at(8, 16)])).toBe(true);
    expect(tracker.next([at(0, 8)], [])).toBe(false);
    expect(tracker.next([], [at(0, 8)])).toBe(true); // over what was read since
  });
});
