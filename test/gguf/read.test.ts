import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { GgufError, ggmlLayout, ggmlTypes, openGguf, parseGguf } from "../../src/gguf/index.ts";
import { encodeF16, encodeQ8_0, f32, type WritableTensor, writeGguf } from "../reference/gguf_writer.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";

const root = join(import.meta.dirname, "../..");
const q8File = join(root, "examples/models/austen-5m-q8_0.gguf");
const f16File = join(root, "test/fixtures/austen-5m-f16.gguf");

test("parseGguf() returns every kind of scalar as it was written", () => {
  const file = parseGguf(
    writeGguf({
      u8: { type: "u8", value: 255 },
      i8: { type: "i8", value: -128 },
      u16: { type: "u16", value: 65535 },
      i16: { type: "i16", value: -32768 },
      u32: { type: "u32", value: 4294967295 },
      i32: { type: "i32", value: -2147483648 },
      f32: f32(0.5),
      f64: { type: "f64", value: Math.PI },
      u64: { type: "u64", value: 2n ** 53n - 1n },
      i64: { type: "i64", value: -(2n ** 40n) },
      yes: true,
      no: false,
      text: "naïve 你好 🙂 \u0000 \uFEFFx",
      empty: "",
    }),
  );
  expect([...file.metadata.entries()]).toEqual([
    ["u8", 255],
    ["i8", -128],
    ["u16", 65535],
    ["i16", -32768],
    ["u32", 4294967295],
    ["i32", -2147483648],
    ["f32", 0.5],
    ["f64", Math.PI],
    ["u64", Number.MAX_SAFE_INTEGER],
    ["i64", -1099511627776],
    ["yes", true],
    ["no", false],
    ["text", "naïve 你好 🙂 \u0000 \uFEFFx"],
    ["empty", ""],
  ]);
});

test("parseGguf() keeps 64-bit integers that a number cannot hold as bigint", () => {
  const file = parseGguf(
    writeGguf({ most: { type: "u64", value: 2n ** 64n - 1n }, least: { type: "i64", value: -(2n ** 63n) } }),
  );
  expect(file.metadata.get("most")).toBe(2n ** 64n - 1n);
  expect(file.metadata.get("least")).toBe(-(2n ** 63n));
  expect(() => file.getNumber("most")).toThrow(GgufError);
});

test("parseGguf() returns arrays of every kind, nested ones too", () => {
  const array = (
    of: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "f64" | "u64" | "i64" | "bool" | "string",
  ) => {
    const value = of === "bool" ? [true, false] : of === "string" ? ["a", "é"] : [1, 2];
    return { type: "array", of, value } as const;
  };
  const file = parseGguf(
    writeGguf({
      u8: array("u8"),
      i8: array("i8"),
      u16: array("u16"),
      i16: array("i16"),
      u32: array("u32"),
      i32: array("i32"),
      f32: array("f32"),
      f64: array("f64"),
      u64: array("u64"),
      i64: array("i64"),
      bool: array("bool"),
      string: array("string"),
      none: { type: "array", of: "string", value: [] },
      nested: {
        type: "array",
        of: "array",
        value: [
          { of: "u8", value: [1] },
          { of: "string", value: ["x", "y"] },
        ],
      },
    }),
  );
  expect(file.metadata.get("u8")).toEqual(new Uint8Array([1, 2]));
  expect(file.metadata.get("i8")).toEqual(new Int8Array([1, 2]));
  expect(file.metadata.get("u16")).toEqual(new Uint16Array([1, 2]));
  expect(file.metadata.get("i16")).toEqual(new Int16Array([1, 2]));
  expect(file.metadata.get("u32")).toEqual(new Uint32Array([1, 2]));
  expect(file.metadata.get("i32")).toEqual(new Int32Array([1, 2]));
  expect(file.metadata.get("f32")).toEqual(new Float32Array([1, 2]));
  expect(file.metadata.get("f64")).toEqual(new Float64Array([1, 2]));
  expect(file.metadata.get("u64")).toEqual(new BigUint64Array([1n, 2n]));
  expect(file.metadata.get("i64")).toEqual(new BigInt64Array([1n, 2n]));
  expect(file.metadata.get("bool")).toEqual([true, false]);
  expect(file.metadata.get("string")).toEqual(["a", "é"]);
  expect(file.metadata.get("none")).toEqual([]);
  expect(file.metadata.get("nested")).toEqual([new Uint8Array([1]), ["x", "y"]]);
  expect([...(file.getNumbers("u64") as number[])]).toEqual([1, 2]);
});

test("parseGguf() places each tensor's data where the writer put them, for any alignment", () => {
  const random = mulberry32(1);
  for (const alignment of [8, 32, 64, 4096]) {
    const tensors: WritableTensor[] = [
      { name: "a", type: 8, shape: [64, 3], data: encodeQ8_0(gaussianArray(random, 192)) },
      { name: "b.weight", type: 1, shape: [5], data: encodeF16(gaussianArray(random, 5)) },
      { name: "c", type: 0, shape: [3, 2, 2, 1], data: new Uint8Array(gaussianArray(random, 12).buffer) },
    ];
    const bytes = writeGguf({ "general.alignment": alignment }, tensors, { alignment });
    const file = parseGguf(bytes);
    expect([...file.tensors.keys()]).toEqual(["a", "b.weight", "c"]);
    for (const { name, shape, data } of tensors) {
      const tensor = file.getTensor(name);
      expect(tensor.offset % alignment).toBe(0);
      expect(tensor.shape).toEqual(shape as number[]);
      expect(bytes.subarray(tensor.offset, tensor.offset + tensor.byteLength)).toEqual(data);
    }
  }
});

test("parseGguf() accepts version 2 and files without tensors", () => {
  const file = parseGguf(writeGguf({ "general.architecture": "llama" }, [], { version: 2 }));
  expect(file.version).toBe(2);
  expect(file.tensors.size).toBe(0);
});

test("parseGguf() knows the byte length of one block of every ggml type", () => {
  for (const type of ggmlTypes) {
    const { id, blockSize, blockBytes } = ggmlLayout(type);
    const data = new Uint8Array(3 * blockBytes);
    const file = parseGguf(writeGguf({}, [{ name: "t", type: id, shape: [blockSize, 3], data }]));
    expect(file.getTensor("t")).toMatchObject({ type, byteLength: data.length });
  }
});

test("parseGguf() returns any metadata that the writer can write", () => {
  const scalar = fc.oneof(
    fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()),
    fc.boolean(),
    fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }),
    fc.array(fc.string({ unit: "grapheme" })),
  );
  const key = fc.string({ minLength: 1, unit: "grapheme-ascii" });
  fc.assert(
    fc.property(fc.array(fc.tuple(key, scalar)), (pairs) => {
      const metadata = new Map(pairs);
      expect([...parseGguf(writeGguf([...metadata])).metadata]).toEqual([...metadata]);
    }),
    { seed: 7, numRuns: 200 },
  );
});

test("openGguf() reads the repository's models, and every tensor ends where the next begins", () => {
  for (const [path, type] of [
    [q8File, "q8_0"],
    [f16File, "f16"],
  ] as const) {
    const file = openGguf(path);
    expect(file.version).toBe(3);
    expect(file.getString("general.architecture")).toBe("llama");
    expect(file.getCount("llama.block_count")).toBe(6);
    expect(file.getNumber("llama.attention.layer_norm_rms_epsilon")).toBeCloseTo(1e-5, 10);
    expect(file.getBoolean("tokenizer.ggml.add_bos_token")).toBe(true);
    expect(file.getStrings("tokenizer.ggml.tokens")).toHaveLength(4096);
    expect(file.getNumbers("tokenizer.ggml.scores")).toHaveLength(4096);
    expect(file.tensors.size).toBe(2 + 6 * 9);
    expect(file.getTensor("token_embd.weight")).toMatchObject({ type, shape: [256, 4096] });
    let end = 0;
    for (const tensor of file.tensors.values()) {
      if (end > 0) expect(tensor.offset).toBe(Math.ceil(end / 32) * 32);
      end = tensor.offset + tensor.byteLength;
    }
    expect(end).toBe(file.fileSize);
  }
});

test("openGguf() reads a header that is larger than its window, with strings that straddle it", () => {
  const tokens = Array.from({ length: 60_000 }, (_, i) => `${"▁token".repeat(1 + (i % 7))}${i}`);
  const scores = Float32Array.from(tokens, (_, i) => -i);
  const blob = "x".repeat(3_000_000);
  const bytes = writeGguf({ tokens, blob, scores, after: "end" });
  expect(bytes.length).toBeGreaterThan(5_000_000);
  const directory = mkdtempSync(join(tmpdir(), "gguf-"));
  try {
    const path = join(directory, "large.gguf");
    writeFileSync(path, bytes);
    const file = openGguf(path);
    expect(file.getStrings("tokens")).toEqual(tokens);
    expect(file.getString("blob")).toBe(blob);
    expect(file.getNumbers("scores")).toEqual(scores);
    expect(file.getString("after")).toBe("end");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("GgufFile getters return the fallback only if the key is missing, and name key and kind otherwise", () => {
  const file = parseGguf(writeGguf({ text: "a", count: 3, ratio: 1.5, flag: true, list: ["x"], below: -1 }));
  expect(file.has("text")).toBe(true);
  expect(file.getString("nothing", "b")).toBe("b");
  expect(file.getNumber("nothing", 0)).toBe(0);
  expect(file.getCount("count", 9)).toBe(3);
  expect(file.getBoolean("nothing", false)).toBe(false);
  expect(file.getStrings("nothing", [])).toEqual([]);
  expect(file.getNumbers("nothing", [1])).toEqual([1]);
  expect(() => file.getString("count", "b")).toThrow(
    'Cannot use "count" of the metadata: it is the number 3, not a string',
  );
  expect(() => file.getNumber("text")).toThrow('it is the string "a", not a number');
  expect(() => file.getCount("ratio")).toThrow("not a whole number");
  expect(() => file.getCount("below")).toThrow("not a whole number");
  expect(() => file.getBoolean("count")).toThrow("not a boolean");
  expect(() => file.getStrings("text")).toThrow("not an array of strings");
  expect(() => file.getNumbers("list")).toThrow("it is an array of 1 strings, not an array of numbers");
  expect(() => file.getString("nothing")).toThrow('Cannot find "nothing" in the metadata');
  expect(() => file.getTensor("output.weight")).toThrow(
    'Cannot find tensor "output.weight" among the 0 of the file',
  );
  expect(() => file.getString("nothing")).toThrow(GgufError);
});
