import { expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GgufError, openGguf, parseGguf } from "../../src/gguf/index.ts";
import { type WritableTensor, writeGguf } from "../reference/gguf_writer.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";

function failure(bytes: Uint8Array): GgufError {
  try {
    parseGguf(bytes);
  } catch (error) {
    if (error instanceof GgufError) return error;
    throw error;
  }
  throw new Error("The file was accepted");
}

function tensor(change: Partial<WritableTensor> = {}): WritableTensor {
  return { name: "t", type: 0, shape: [8], data: new Uint8Array(32), ...change };
}

/** A small file with one of everything. */
function smallFile(): Uint8Array {
  return writeGguf(
    {
      "general.architecture": "llama",
      tokens: ["a", "é"],
      scores: new Float32Array([1, 2]),
      flags: { type: "array", of: "bool", value: [true, false] },
      nested: { type: "array", of: "array", value: [{ of: "u64", value: [1, 2] }] },
      wide: { type: "u64", value: 5 },
      flag: true,
    },
    [tensor(), tensor({ name: "u", type: 8, shape: [32, 2], data: new Uint8Array(68) })],
  );
}

test("parseGguf() refuses a file cut at any byte", () => {
  const bytes = smallFile();
  parseGguf(bytes);
  for (let length = 0; length < bytes.length; length++) {
    const error = failure(bytes.subarray(0, length));
    expect(error.field).not.toBe("");
    expect(error.offset ?? 0).toBeLessThanOrEqual(length);
  }
});

test("parseGguf() refuses a wrong magic, version and byte order, and says which", () => {
  expect(failure(writeGguf({}, [], { magic: "GGML" }))).toMatchObject({ field: "magic", offset: 0 });
  expect(failure(new TextEncoder().encode("<!DOCTYPE html><title>404</title>")).field).toBe("magic");
  for (const version of [0, 1, 4, 0xffffffff]) {
    const error = failure(writeGguf({}, [], { version }));
    expect(error).toMatchObject({ field: "version", offset: 4 });
    expect(error.message).toContain(`its version is ${version}`);
  }
  expect(failure(writeGguf({}, [], { version: 0x03000000 })).message).toContain("big-endian");
});

test("parseGguf() refuses counts that the file cannot hold", () => {
  for (const count of [1000, 2 ** 32, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    expect(failure(writeGguf({ a: 1 }, [], { tensorCount: count })).field).toBe("tensor count");
    expect(failure(writeGguf({ a: 1 }, [], { metadataCount: count })).field).toBe("metadata count");
  }
});

test("parseGguf() refuses string lengths and array counts that exceed the file, and allocates nothing for them", () => {
  // The text "abcd" and its length, which is replaced: 24 bytes of header, 8 + 1 of the key, 4 of the type.
  const text = writeGguf({ k: "abcd" });
  const array = writeGguf({ k: { type: "array", of: "u8", value: [1, 2, 3, 4] } });
  for (const length of [5n, 2n ** 31n, 2n ** 40n, 2n ** 53n, 2n ** 64n - 1n]) {
    new DataView(text.buffer).setBigUint64(24 + 9 + 4, length, true);
    expect(failure(text).field).toContain("k");
    new DataView(array.buffer).setBigUint64(24 + 9 + 8, length, true);
    for (const elements of [0, 5, 7, 8, 9, 12]) {
      new DataView(array.buffer).setUint32(24 + 9 + 4, elements, true);
      expect(failure(array).field).toContain("k");
    }
  }
  new DataView(text.buffer).setBigUint64(24, 2n ** 60n, true);
  expect(failure(text)).toMatchObject({ field: "key 0", offset: 24 });
});

test("parseGguf() refuses unknown value types, bad booleans and text that is not UTF-8", () => {
  const bytes = writeGguf({ key: true });
  bytes[bytes.length - 1] = 2;
  expect(failure(bytes).message).toContain("a boolean is 0 or 1, not 2");
  bytes[bytes.length - 5] = 13;
  expect(failure(bytes).message).toContain("13 is not a metadata value type");
  const text = writeGguf({ key: "abc" });
  text[text.length - 1] = 0xff;
  expect(failure(text)).toMatchObject({ field: "key" });
  expect(failure(text).message).toContain("not UTF-8");
});

test("parseGguf() refuses arrays nested deeper than anybody needs", () => {
  let value: { of: "array" | "u8"; value: unknown[] } = { of: "u8", value: [1] };
  for (let depth = 0; depth < 3; depth++) value = { of: "array", value: [value] };
  parseGguf(writeGguf({ key: { type: "array", ...value } }));
  for (let depth = 0; depth < 10_000; depth++) value = { of: "array", value: [value] };
  let bytes = writeGguf({ key: "" });
  // Written by hand, since the writer is recursive: array of one array of one array...
  const levels = new Uint8Array(12 * 10_000);
  const view = new DataView(levels.buffer);
  for (let at = 0; at < levels.length; at += 12) {
    view.setUint32(at, 9, true);
    view.setUint32(at + 4, 1, true);
  }
  bytes = bytes.slice(0, bytes.length - 8);
  bytes[bytes.length - 4] = 9;
  expect(failure(new Uint8Array([...bytes, ...levels])).message).toContain("nested");
});

test("parseGguf() refuses keys and tensors that are there twice or have no name", () => {
  const pairs = [
    ["general.name", "a"],
    ["general.name", "b"],
  ] as const;
  expect(failure(writeGguf(pairs))).toMatchObject({ field: "general.name" });
  expect(failure(writeGguf({ "": 1 })).message).toContain("its length is 0");
  expect(failure(writeGguf({}, [tensor(), tensor()])).message).toContain("there are two of that name");
  expect(failure(writeGguf({}, [tensor({ name: "" })])).message).toContain("0 characters");
  expect(failure(writeGguf({}, [tensor({ name: "x".repeat(65) })])).message).toContain("65 characters");
});

test("parseGguf() refuses dimensions that are missing, zero, too many, or overflow", () => {
  expect(failure(writeGguf({}, [tensor({ shape: [] })])).message).toContain("0 dimensions");
  expect(failure(writeGguf({}, [tensor({ shape: [1, 1, 1, 1, 8] })])).message).toContain("5 dimensions");
  expect(failure(writeGguf({}, [tensor({ shape: [8, 0] })])).message).toContain("its dimension 1 is 0");
  expect(failure(writeGguf({}, [tensor({ shape: [2n ** 40n, 2n ** 40n] })])).message).toContain(
    "larger than any file",
  );
  expect(failure(writeGguf({}, [tensor({ shape: [2n ** 32n, 2n ** 32n] })])).field).toBe("t");
  expect(failure(writeGguf({}, [tensor({ shape: [2n ** 64n - 1n] })])).field).toBe("dimension 0 of t");
});

test("parseGguf() refuses unknown and removed element types and rows that are not whole blocks", () => {
  for (const type of [4, 5, 31, 36, 40, 1000, 0xffffffff]) {
    const { message } = failure(writeGguf({}, [tensor({ type })]));
    expect(message).toContain(`"t"`);
    expect(message).toContain(`element type ${type} is unknown`);
  }
  expect(failure(writeGguf({}, [tensor({ type: 8, shape: [48, 2] })])).message).toContain(
    "the 32 in a block of q8_0",
  );
});

test("parseGguf() refuses tensors outside the file, unaligned, or overlapping", () => {
  expect(failure(writeGguf({}, [tensor({ offset: 64 })])).message).toContain("the file has only");
  expect(failure(writeGguf({}, [tensor({ offset: 2 ** 50 })])).message).toContain("the file has only");
  expect(failure(writeGguf({}, [tensor({ offset: 2n ** 64n - 32n })])).field).toBe("offset of t");
  expect(failure(writeGguf({}, [tensor({ shape: [16] })])).message).toContain("the file has only");
  expect(failure(writeGguf({}, [tensor({ offset: 16 })])).message).toContain(
    "no multiple of the alignment, 32",
  );
  const overlapping = [tensor({ data: new Uint8Array(64), shape: [16] }), tensor({ name: "u", offset: 32 })];
  expect(failure(writeGguf({}, overlapping)).message).toContain('tensors "t" and "u"');
});

test("parseGguf() refuses an alignment that is not a power of two of at least 8", () => {
  for (const alignment of [0, 1, 4, 24, 33, 2 ** 31, -32, "32", 32.5]) {
    expect(failure(writeGguf({ "general.alignment": alignment })).field).toBe("general.alignment");
  }
});

test("GgufError shortens hostile names and shows control characters escaped", () => {
  const { message } = failure(
    writeGguf({ [`\u001b[2J${"x".repeat(1000)}`]: 1, a: 2 }, [], { metadataCount: 3 }),
  );
  expect(message.length).toBeLessThan(2000);
  const name = failure(writeGguf([["\u001b[2J", 1] as const, ["\u001b[2J", 1] as const])).message;
  expect(name).not.toContain("\u001b");
});

test("openGguf() explains a missing file, a directory and a broken file, and leaves no file open", () => {
  const directory = mkdtempSync(join(tmpdir(), "gguf-"));
  try {
    const path = join(directory, "model.gguf");
    expect(() => openGguf(path)).toThrow(
      `Cannot read model file ${JSON.stringify(path)}: there is no such file`,
    );
    expect(() => openGguf(directory)).toThrow("it is a directory or a device, not a file");
    expect(() => openGguf(join(directory, "a\0b"))).toThrow("Cannot read model file");
    writeFileSync(path, "");
    expect(() => openGguf(path)).toThrow(GgufError);
    expect(() => openGguf(path)).toThrow("the file has 0 bytes");
    // The system hands out the lowest free number, so it comes again only if nothing was left open.
    const lowest = openSync(path, "r");
    closeSync(lowest);
    for (let i = 0; i < 10; i++) expect(() => openGguf(path)).toThrow(GgufError);
    const again = openSync(path, "r");
    closeSync(again);
    expect(again).toBe(lowest);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("openGguf() reads the start of a 6 GB file and refuses what only its size would allow", () => {
  const directory = mkdtempSync(join(tmpdir(), "gguf-"));
  try {
    const path = join(directory, "sparse.gguf");
    const size = 6 * 2 ** 30;
    const elements = 2 ** 30 + 8;
    const large = tensor({ shape: [elements], data: new Uint8Array(0) });
    writeFileSync(path, writeGguf({}, [large, tensor({ name: "u", offset: elements * 4 })]));
    truncateSync(path, size);
    const file = openGguf(path);
    expect(file.fileSize).toBe(size);
    expect(file.getTensor("u").offset).toBeGreaterThan(2 ** 32);

    // The file is long enough for this string, but no header is.
    const text = writeGguf({ key: "abcd" });
    new DataView(text.buffer).setBigUint64(24 + 11 + 4, 2n ** 32n, true);
    writeFileSync(path, text);
    truncateSync(path, size);
    expect(() => openGguf(path)).toThrow("before the tensor data");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("parseGguf() survives seeded mutations: it succeeds or throws GgufError", () => {
  const original = smallFile();
  const headerLength = original.length - 32 - 96;
  const interesting = [0, 1, 2, 7, 8, 9, 12, 13, 31, 127, 128, 255];
  let accepted = 0;
  for (let seed = 0; seed < 6000; seed++) {
    const random = mulberry32(seed);
    let bytes = original.slice();
    for (let edits = 1 + randomInteger(random, 4); edits > 0; edits--) {
      const at = randomInteger(random, headerLength);
      const kind = randomInteger(random, 5);
      if (kind === 0) bytes[at] = randomInteger(random, 256);
      else if (kind === 1) bytes[at] = interesting[randomInteger(random, interesting.length)] ?? 0;
      else if (kind === 2) bytes[at] = (bytes[at] ?? 0) ^ (1 << randomInteger(random, 8));
      else if (kind === 3) bytes = new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(at + 1)]);
      else bytes = new Uint8Array([...bytes.subarray(0, at), 0, ...bytes.subarray(at)]);
    }
    try {
      const file = parseGguf(bytes);
      for (const { offset, byteLength } of file.tensors.values()) {
        if (offset + byteLength > bytes.length)
          throw new Error(`Seed ${seed}: a tensor lies outside the file`);
      }
      accepted++;
    } catch (error) {
      if (!(error instanceof GgufError)) throw new Error(`Seed ${seed}: ${error}`, { cause: error });
    }
  }
  // Some mutations change only text or numbers: if none were accepted, the test would show nothing.
  expect(accepted).toBeGreaterThan(100);
  expect(accepted).toBeLessThan(5000);
});
