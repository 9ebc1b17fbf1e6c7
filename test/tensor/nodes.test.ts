import { describe, expect, test } from "bun:test";
import { rowBytes } from "../../src/tensor/dtype.ts";
import { convert, dtypes, silu } from "../../src/tensor/index.ts";
import { Nodes } from "../../src/tensor/nodes.ts";
import { rowExtent, shapeBytes } from "../../src/tensor/shape.ts";

const memory = { byteLength: 1000 };

describe("dtypes", () => {
  test("rowBytes() counts whole blocks", () => {
    expect(rowBytes("f32", 5)).toBe(20);
    expect(rowBytes("f16", 5)).toBe(10);
    expect(rowBytes("q8_0", 64)).toBe(68);
    expect(() => rowBytes("q8_0", 33)).toThrow("33 elements is not a whole number of q8_0 blocks of 32");
  });

  test("dtypes have blocks of whole alignments", () => {
    for (const { blockBytes, alignment } of Object.values(dtypes)) expect(blockBytes % alignment).toBe(0);
  });
});

describe("Nodes", () => {
  test.each([
    [[], "no dimensions"],
    [[0], 'dimension "0"'],
    [[2, -1], 'dimension "-1"'],
    [[2.5], 'dimension "2.5"'],
    [[Number.NaN], 'dimension "NaN"'],
    [[2 ** 32], 'dimension "4294967296"'],
    [[2 ** 31, 2 ** 31], "too large to address"],
  ])("Nodes.input() refuses shape %p", (shape, message) => {
    expect(() => new Nodes().input("x", "f32", shape)).toThrow(message);
  });

  test("Nodes.input() refuses rows that are not whole blocks", () => {
    expect(() => new Nodes().input("x", "q8_0", [2, 40])).toThrow(
      "40 elements is not a whole number of q8_0 blocks",
    );
  });

  test("Nodes.input() refuses dynamic dimensions that do not lead", () => {
    const nodes = new Nodes();
    const rows = nodes.rows("rows", 4);
    expect(() => nodes.input("x", "f32", [2, rows])).toThrow("only the first can be");
  });

  test.each([0, -1, 1.5, Number.NaN])("Nodes.rows() refuses a maximum of %p", (max) => {
    expect(() => new Nodes().rows("rows", max)).toThrow('Rows "rows" cannot have a maximum');
  });

  test("Nodes refuses a name twice, of whatever kind", () => {
    const nodes = new Nodes();
    nodes.rows("x", 4);
    expect(() => nodes.words("x", 4)).toThrow('has a "x" already');
    expect(() => nodes.input("x", "f32", [4])).toThrow('has a "x" already');
    expect(() => nodes.output(silu(nodes.input("y", "f32", [4])), "x")).toThrow('has a "x" already');
    expect(() => nodes.input("", "f32", [4])).toThrow("cannot be empty");
  });

  test.each([
    [996, "f32", [2], "does not fit into a buffer of 1000"],
    [0, "q8_0", [30, 32], "takes 1020 bytes"],
    [2, "f32", [1], "a multiple of 4"],
    [1, "q8_0", [1, 32], "a multiple of 2"],
    [-4, "f32", [1], "Constant at byte -4"],
    [Number.NaN, "f32", [1], "Constant at byte NaN"],
  ] as const)("Nodes.constant() refuses byte %p of %s %p", (offset, dtype, shape, message) => {
    expect(() => new Nodes().constant(memory, dtype, shape, offset)).toThrow(message);
  });

  test("Nodes.constant() takes the last bytes of its memory", () => {
    expect(new Nodes().constant(memory, "f32", [2], 992).byteLength).toBe(8);
  });

  test("Nodes.constant() refuses dynamic dimensions", () => {
    const nodes = new Nodes();
    expect(() => nodes.constant(memory, "f32", [nodes.rows("rows", 4), 2])).toThrow(
      "dynamic shape [rows<=4, 2]",
    );
  });

  test("Nodes.output() refuses what no operation makes, twice the same, and other graphs", () => {
    const nodes = new Nodes();
    const x = nodes.input("x", "f32", [4]);
    expect(() => nodes.output(x, "y")).toThrow("not the result of an operation but input");
    const y = convert(x, "f32");
    nodes.output(y, "y");
    expect(() => nodes.output(y, "z")).toThrow('is already the output "y"');
    expect(() => new Nodes().output(y, "y")).toThrow("another graph");
  });

  test("Nodes.words() lays arrays apart at 256 bytes, and refuses more than a run can have", () => {
    const nodes = new Nodes();
    const rows = nodes.rows("rows", 4);
    expect(rows.word).toBe(0);
    expect(nodes.words("a", rows).source).toEqual({ kind: "words", name: "a", word: 64 });
    expect(nodes.words("b", [3, 5]).source).toEqual({ kind: "words", name: "b", word: 128 });
    expect(nodes.wordCount).toBe(143);
    expect(() => nodes.words("c", 1 << 20)).toThrow("use an input for large data");
  });
});

describe("shapes", () => {
  test("rowExtent() multiplies what lies between rows and columns", () => {
    const rows = new Nodes().rows("rows", 6);
    expect(rowExtent([5])).toBe(1);
    expect(rowExtent([2, 3, 7])).toBe(6);
    expect(rowExtent([rows])).toEqual({ rows, factor: 1 });
    expect(rowExtent([rows, 7])).toEqual({ rows, factor: 1 });
    expect(rowExtent([rows, 3, 7])).toEqual({ rows, factor: 3 });
    expect(shapeBytes("f32", [rows])).toBe(24);
    expect(shapeBytes("f16", [rows, 3, 7])).toBe(252);
  });
});
