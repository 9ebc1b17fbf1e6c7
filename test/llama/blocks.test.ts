import { describe, expect, test } from "bun:test";
import { BlockTable } from "../../src/llama/blocks.ts";
import { ContextFullError } from "../../src/llama/errors.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";

function table(blockCount = 8): BlockTable {
  return new BlockTable({
    blockSize: 4,
    blockCount,
    sequenceCount: 3,
    blocksPerSequence: 4,
    contextLength: 14,
  });
}

const noCopy = (): void => {
  throw new Error("Unexpected copy");
};

/** Slots of the sequence's positions, read through the page table as the attention kernel does. */
function slots(blocks: BlockTable, sequence: number): number[] {
  const { blockSize, blocksPerSequence } = blocks.options;
  return Array.from({ length: blocks.length(sequence) }, (_, p) => {
    const block = blocks.entries[sequence * blocksPerSequence + Math.floor(p / blockSize)];
    return block * blockSize + (p % blockSize);
  });
}

describe("BlockTable", () => {
  test("BlockTable gives every position of every sequence a slot of its own", () => {
    const blocks = table();
    const a = blocks.open();
    const b = blocks.open();
    const written: number[] = [];
    for (let i = 0; i < 10; i++) written.push(blocks.append(a, noCopy), blocks.append(b, noCopy));
    expect(new Set(written).size).toBe(20);
    expect(slots(blocks, a)).toEqual(written.filter((_, i) => i % 2 === 0));
    expect(slots(blocks, b)).toEqual(written.filter((_, i) => i % 2 === 1));
    expect(blocks.freeBlocks).toBe(2);
  });

  test("BlockTable.hasRoom() is whether so many appends would succeed", () => {
    const blocks = table(4);
    const a = blocks.open();
    const b = blocks.open();
    for (let i = 0; i < 6; i++) blocks.append(a, noCopy);
    blocks.share(a, b, 6); // the first append of either takes a copy of the second block
    const rooms = [1, 2, 3, 6, 7, 8].map((count) => blocks.hasRoom(a, count));
    expect(rooms).toEqual([true, true, true, true, false, false]); // 2 blocks are free: to position 12
    blocks.close(b);
    expect([8, 9].map((count) => blocks.hasRoom(a, count))).toEqual([true, false]); // the context is 14
    for (let i = 0; i < 8; i++) blocks.append(a, noCopy);
    expect(blocks.hasRoom(a, 1)).toBe(false);
  });

  test("BlockTable.rewind() frees whole blocks and close() frees all", () => {
    const blocks = table();
    const a = blocks.open();
    for (let i = 0; i < 9; i++) blocks.append(a, noCopy);
    expect(blocks.freeBlocks).toBe(5);
    blocks.rewind(a, 5);
    expect(blocks.freeBlocks).toBe(6);
    blocks.rewind(a, 4);
    expect(blocks.freeBlocks).toBe(7);
    expect(() => blocks.rewind(a, 5)).toThrow("it holds 4 positions");
    blocks.close(a);
    expect(blocks.freeBlocks).toBe(8);
    expect(blocks.openSequences).toBe(0);
    expect(() => blocks.length(a)).toThrow("not open");
  });

  test("BlockTable.share() takes no block until one side writes into a shared one", () => {
    const blocks = table();
    const a = blocks.open();
    for (let i = 0; i < 6; i++) blocks.append(a, noCopy);
    const b = blocks.open();
    blocks.share(a, b, 6);
    expect(slots(blocks, b)).toEqual(slots(blocks, a));
    expect(blocks.freeBlocks).toBe(6);

    const copies: [number, number][] = [];
    expect(blocks.blocksNeeded(b, 1)).toBe(1);
    blocks.append(b, (from, to) => copies.push([from, to]));
    expect(copies).toEqual([[blocks.entries[1], blocks.entries[4 + 1]]]);
    // The first block is still shared; the other side now writes alone.
    expect(slots(blocks, b).slice(0, 4)).toEqual(slots(blocks, a).slice(0, 4));
    expect(blocks.blocksNeeded(a, 1)).toBe(0);
    blocks.append(a, noCopy);
    expect(slots(blocks, a)[6]).not.toBe(slots(blocks, b)[6]);

    blocks.close(a);
    expect(blocks.freeBlocks).toBe(6);
    blocks.close(b);
    expect(blocks.freeBlocks).toBe(8);
  });

  test("BlockTable keeps its counts when the copy of a shared block fails", () => {
    const blocks = table();
    const a = blocks.open();
    blocks.append(a, noCopy);
    const b = blocks.open();
    blocks.share(a, b, 1);
    expect(() => blocks.append(b, noCopy)).toThrow("Unexpected copy");
    expect(blocks.length(b)).toBe(1);
    expect(blocks.freeBlocks).toBe(7);
    blocks.close(a);
    blocks.close(b);
    expect(blocks.freeBlocks).toBe(8);
  });

  test("BlockTable says with counts that a context, the cache or the sequences are used up", () => {
    const blocks = table(4);
    const a = blocks.open();
    for (let i = 0; i < 14; i++) blocks.append(a, noCopy);
    const full = (() => {
      try {
        return blocks.append(a, noCopy);
      } catch (error) {
        return error;
      }
    })();
    expect(full).toBeInstanceOf(ContextFullError);
    expect(full).toMatchObject({ used: 14, requested: 1, limit: 14 });
    const b = blocks.open();
    expect(() => blocks.append(b, noCopy)).toThrow("4 of 4 are in use");
    blocks.open();
    expect(() => blocks.open()).toThrow("all 3 are in use");
  });

  test("BlockTable never gives one slot to two writers under random use", () => {
    const seed = 5;
    const random = mulberry32(seed);
    const blocks = table(12);
    // What each sequence would read back, if every slot held the last value written to it.
    const memory = new Map<number, number>();
    const expected = new Map<number, number[]>();
    let next = 0;
    const copy = (from: number, to: number): void => {
      for (let i = 0; i < 4; i++) memory.set(to * 4 + i, memory.get(from * 4 + i) ?? -1);
    };
    for (let step = 0; step < 4000; step++) {
      const open = [...expected.keys()];
      const sequence = open[randomInteger(random, open.length)];
      const action = randomInteger(random, 10);
      if (sequence === undefined || (action === 0 && open.length < 3)) {
        expected.set(blocks.open(), []);
      } else if (action === 1) {
        blocks.close(sequence);
        expected.delete(sequence);
      } else if (action === 2) {
        const length = randomInteger(random, blocks.length(sequence) + 1);
        blocks.rewind(sequence, length);
        expected.get(sequence)?.splice(length);
      } else if (action === 3 && open.length < 3) {
        const length = randomInteger(random, blocks.length(sequence) + 1);
        const target = blocks.open();
        blocks.share(sequence, target, length);
        expected.set(target, (expected.get(sequence) ?? []).slice(0, length));
      } else if (blocks.length(sequence) < 14) {
        memory.set(blocks.append(sequence, copy), next);
        expected.get(sequence)?.push(next++);
      }
      for (const [number, values] of expected) {
        const read = slots(blocks, number).map((slot) => memory.get(slot) ?? -1);
        expect(read, `seed ${seed} step ${step} sequence ${number}`).toEqual(values);
      }
    }
    for (const sequence of expected.keys()) blocks.close(sequence);
    expect(blocks.freeBlocks).toBe(12);
  });
});
