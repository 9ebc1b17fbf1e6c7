import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { dependenciesOf, phasesOf } from "../../src/tensor/dependencies.ts";
import { Nodes } from "../../src/tensor/nodes.ts";
import { type Dispatch, Operation } from "../../src/tensor/operation.ts";
import type { Memory, Tensor } from "../../src/tensor/tensor.ts";

/** An operation that is nothing but what it reads and writes. */
class Access extends Operation {
  readonly name = "access";

  override encode(): Dispatch {
    throw new TypeError("Nobody runs this");
  }
}

type Range = { readonly memory: "a" | "b"; readonly start: number; readonly length: number };

const range: fc.Arbitrary<Range> = fc.record({
  memory: fc.constantFrom("a", "b"),
  start: fc.integer({ min: 0, max: 40 }),
  length: fc.integer({ min: 1, max: 12 }),
});
const accesses = fc.array(
  fc.record({ reads: fc.array(range, { maxLength: 3 }), writes: fc.array(range, { maxLength: 2 }) }),
  { maxLength: 20 },
);

class Memories {
  readonly nodes: Nodes = new Nodes();
  readonly #memories: Record<string, Memory> = { a: { byteLength: 400 }, b: { byteLength: 400 } };

  /** Words for bytes: what is a byte to the test is an element here. */
  constant({ memory, start, length }: Range): Tensor {
    return this.nodes.constant(this.#memories[memory], "f32", [length], 4 * start);
  }

  access(reads: readonly Range[], writes: readonly Range[]): Operation {
    return new Access(
      reads.map((each) => this.constant(each)),
      [],
      writes.map((each) => this.constant(each)),
    );
  }
}

function elementsOf(ranges: readonly Range[]): string[] {
  return ranges.flatMap(({ memory, start, length }) =>
    Array.from({ length }, (_, i) => `${memory}${start + i}`),
  );
}

function meet(a: readonly Range[], b: readonly Range[]): boolean {
  const elements = new Set(elementsOf(a));
  return elementsOf(b).some((element) => elements.has(element));
}

describe("dependenciesOf()", () => {
  test("dependenciesOf() and phasesOf() agree with an oracle on single elements", () => {
    fc.assert(
      fc.property(accesses, (given) => {
        const memories = new Memories();
        const operations = given.map(({ reads, writes }) => memories.access(reads, writes));
        const waits = given.map(({ reads, writes }, i) =>
          given
            .slice(0, i)
            .map((other) => meet(other.writes, [...reads, ...writes]) || meet(other.reads, writes)),
        );
        const dependencies = dependenciesOf(operations);
        operations.forEach((operation, i) => {
          const expected = operations.filter((_, j) => waits[i][j]);
          expect(new Set(dependencies.get(operation))).toEqual(new Set(expected));
        });
        let phase = 0;
        let begin = 0; // of the stretch
        const phases = waits.map((waitsFor, i) => {
          if (waitsFor.slice(begin).includes(true)) {
            phase++;
            begin = i;
          }
          return phase;
        });
        expect(phasesOf(operations, dependencies)).toEqual(phases);
      }),
      { numRuns: 300 },
    );
  });

  test("dependenciesOf() waits for who makes a result, and for nobody who reads it too", () => {
    const { nodes } = new Memories();
    const result = nodes.result("f32", [4]);
    const maker = new Access([], [result]);
    const [first, second] = [new Access([result, result], []), new Access([result], [])];
    const dependencies = dependenciesOf([maker, first, second]);
    expect([maker, first, second].map((each) => [...new Set(dependencies.get(each))])).toEqual([
      [],
      [maker],
      [maker],
    ]);
    expect(phasesOf([maker, first, second], dependencies)).toEqual([0, 1, 1]);
  });

  test("dependenciesOf() does not wait for itself, nor for neighbouring bytes", () => {
    const memories = new Memories();
    const at = (start: number): Range => ({ memory: "a", start, length: 8 });
    const operations = [memories.access([at(0)], [at(0)]), memories.access([at(8)], [at(8)])];
    const dependencies = dependenciesOf(operations);
    expect(operations.map((each) => dependencies.get(each))).toEqual([[], []]);
  });
});
