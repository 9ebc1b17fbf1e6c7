// From file to file: what is kept, what is refused, and what an interruption leaves behind, which is nothing.
import { afterAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Buffer } from "node:buffer";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GgufError, openGguf } from "../../src/gguf/index.ts";
import {
  QuantizeError,
  type QuantizeOptions,
  type QuantizeProgress,
  type QuantizeType,
  quantize,
  quantizeTypes,
} from "../../src/quantize/index.ts";
import { commandOf, run } from "../host/process.ts";
import { splitModel, splitName } from "../reference/gguf_split.ts";
import {
  encodeF16,
  encodeF32,
  f32,
  type WritableTensor,
  type WritableValue,
  writeGguf,
} from "../reference/gguf_writer.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const directory = mkdtempSync(join(tmpdir(), "bun-metal-quantize-"));
const input = join(directory, "model.gguf");
const output = join(directory, "out.gguf");
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => {
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
  writeFileSync(input, writeGguf([...metadata], tensors, { alignment: 64 }));
});

/** Every kind of value, among them those that numbers alone would not keep. */
const metadata = new Map<string, WritableValue>([
  ["general.architecture", "llama"],
  ["general.alignment", 64],
  ["general.file_type", { type: "u32", value: 1 }],
  ["llama.block_count", { type: "u64", value: 2 }],
  ["small", { type: "u8", value: 7 }],
  ["real", f32(3)],
  ["large", { type: "u64", value: 2n ** 60n + 1n }],
  ["flags", { type: "array", of: "bool", value: [true, false] }],
  ["nested", { type: "array", of: "array", value: [{ of: "i16", value: [-1, 2] }] }],
  ["tokenizer.ggml.tokens", ["<unk>", "é", "\u0000"]],
]);

const random = mulberry32(5);
const values = (count: number): Float32Array => gaussianArray(random, count, 0.05);
/** BF16: the upper halves of F32. */
const bf16 = (x: Float32Array): Uint8Array =>
  new Uint8Array(Uint16Array.from(new Uint32Array(x.buffer), (word) => word >>> 16).buffer);
const tensors: readonly WritableTensor[] = [
  { name: "token_embd.weight", type: 1, shape: [256, 8], data: encodeF16(values(2048)) },
  { name: "output.weight", type: 30, shape: [256, 8], data: bf16(values(2048)) },
  { name: "blk.0.attn_norm.weight", type: 0, shape: [256], data: encodeF32(values(256)) },
  { name: "blk.0.attn_q.weight", type: 0, shape: [256, 4], data: encodeF32(values(1024)) },
  { name: "blk.0.ffn_up.weight", type: 1, shape: [96, 3], data: encodeF16(values(288)) },
  { name: "blk.0.ffn_down.weight", type: 1, shape: [33, 3], data: encodeF16(values(99)) },
];

/** What quantising throws. Fails if it does not. */
async function refusal(
  path: string,
  target = output,
  type: QuantizeType = "Q8_0",
  options?: QuantizeOptions,
): Promise<unknown> {
  try {
    await quantize(path, target, type, options);
  } catch (error) {
    return error;
  }
  throw new Error(`${path} was quantised`);
}

async function expectRefusal(found: Promise<unknown>, code: string, message: string): Promise<void> {
  const error = await found;
  expect(error).toBeInstanceOf(QuantizeError);
  expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
  expect(readdirSync(directory).filter((name) => name.includes("out.gguf"))).toEqual([]);
}

describe("quantize", () => {
  test("quantize() keeps all metadata but the file's type, and the order and names of tensors", async () => {
    for (const type of quantizeTypes) {
      const result = await quantize(input, output, type, { overwrite: true });
      const [before, after] = [openGguf(input), openGguf(output)];
      const expected = new Map(before.metadata);
      if (type !== "COPY") expected.set("general.quantization_version", 2);
      if (type !== "COPY") expected.set("general.file_type", after.getCount("general.file_type"));
      expect(new Map(after.metadata)).toEqual(expected);
      expect([...after.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
      expect(result.byteLength).toBe(after.fileSize);
      expect(result.inputByteLength).toBe(before.fileSize);
      for (const { name, from, to } of result.tensors) {
        expect(before.getTensor(name).type).toBe(from as "f16");
        expect(after.getTensor(name).type).toBe(to as "f16");
        expect(after.getTensor(name).offset % 64).toBe(0);
      }
    }
  });

  test("quantize() writes the same bytes each time, also from parts, and from the model in several files", async () => {
    await quantize(input, output, "Q4_K_M");
    const once = readFileSync(output);
    await quantize(input, output, "Q4_K_M", { overwrite: true });
    expect(Buffer.compare(readFileSync(output), once)).toBe(0);
    const plain = new Map(metadata);
    plain.delete("general.alignment");
    writeFileSync(input, writeGguf([...plain], tensors));
    splitModel(plain, tensors, 4, { tensorlessFirst: true }).forEach((bytes, part) => {
      writeFileSync(join(directory, splitName("split", part, 4)), bytes);
    });
    for (const type of ["COPY", "Q4_K_M"] as const) {
      const whole = join(directory, "whole.gguf");
      await quantize(input, whole, type, { overwrite: true });
      await quantize(join(directory, splitName("split", 2, 4)), output, type, { overwrite: true });
      expect(Buffer.compare(readFileSync(output), readFileSync(whole))).toBe(0);
    }
  });

  test("quantize() puts data at multiples of the largest alignment, and takes no memory or disk for it", async () => {
    writeFileSync(input, writeGguf({ "general.alignment": 2 ** 30 }, [], { alignment: 8 }));
    truncateSync(input, 2 ** 30);
    expect((await quantize(input, output, "Q8_0")).byteLength).toBe(2 ** 30);
    expect(openGguf(output).getCount("general.alignment")).toBe(2 ** 30);
    expect(statSync(output).blocks * 512).toBeLessThan(2 ** 20);
  });

  test("quantize() of what has the type already copies its bytes", async () => {
    await quantize(input, output, "Q8_0");
    const again = join(directory, "again.gguf");
    await quantize(output, again, "Q8_0");
    expect(Buffer.compare(readFileSync(again), readFileSync(output))).toBe(0);
  });

  test("quantize() refuses to quantise twice, and names tensor and type", async () => {
    await quantize(input, output, "Q8_0");
    const error = await refusal(output, join(directory, "again.gguf"), "Q4_0");
    expect(error).toMatchObject({ code: "type", tensor: "token_embd.weight" });
    expect(String(error)).toContain("its type is q8_0, and only f32, f16, bf16 can be read");
    expect(readdirSync(directory).sort()).toEqual(["model.gguf", "out.gguf"]);
  });

  test("quantize() refuses values that are no numbers or too large, and leaves nothing", async () => {
    const bad = (value: number): void => {
      const data = new Float32Array(256).fill(1);
      data[200] = value;
      writeFileSync(
        input,
        writeGguf({}, [{ name: "x.weight", type: 0, shape: [64, 4], data: encodeF32(data) }]),
      );
    };
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      bad(value);
      for (const type of ["Q8_0", "BF16"] as const) {
        await expectRefusal(refusal(input, output, type), "value", `a value of ${value} is no number`);
      }
    }
    bad(-70000);
    for (const type of ["Q4_0", "F16"] as const) {
      await expectRefusal(refusal(input, output, type), "value", 'tensor "x.weight"');
    }
    await quantize(input, output, "BF16");
  });

  test("quantize() replaces a file only when told to, and never the model", async () => {
    writeFileSync(join(directory, "there.gguf"), "precious");
    const there = await refusal(input, join(directory, "there.gguf"));
    expect(there).toMatchObject({ code: "exists" });
    expect(readFileSync(join(directory, "there.gguf"), "utf8")).toBe("precious");
    const before = readFileSync(input);
    for (const path of [input, join(directory, ".", "model.gguf")]) {
      const itself = await refusal(input, path, "Q8_0", { overwrite: true });
      expect(String(itself)).toContain("it is the model itself");
    }
    expect(Buffer.compare(readFileSync(input), before)).toBe(0);
  });

  test("quantize() says why an output cannot be written", async () => {
    const none = await refusal(input, join(directory, "none", "out.gguf"));
    expect(none).toMatchObject({
      code: "output",
      message: expect.stringContaining("its directory does not exist"),
    });
    mkdirSync(join(directory, "folder"));
    const folder = await refusal(input, join(directory, "folder"), "Q8_0", { overwrite: true });
    expect(folder).toMatchObject({ code: "output" });
    expect(readdirSync(directory).sort()).toEqual(["folder", "model.gguf"]);
  });

  test("quantize() refuses what is no model, and a type that there is not", async () => {
    expect(String(await refusal(join(directory, "none.gguf")))).toContain("there is no such file");
    truncateSync(input, 100);
    expect(await refusal(input)).toBeInstanceOf(GgufError);
    expect(await refusal(input, output, "Q9" as QuantizeType)).toBeInstanceOf(RangeError);
    expect(readdirSync(directory)).toEqual(["model.gguf"]);
  });

  test("quantize() tells how far it is, and stops when aborted", async () => {
    const seen: QuantizeProgress[] = [];
    await quantize(input, output, "Q8_0", { onProgress: (progress) => seen.push(progress) });
    expect([...new Set(seen.map(({ tensor }) => tensor))]).toEqual(tensors.map(({ name }) => name));
    const fractions = seen.map(({ fraction }) => fraction);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);

    rmSync(output);
    const reason = new Error("Changed my mind");
    for (const pieces of [0, 1, tensors.length]) {
      const stop = new AbortController();
      let left = pieces;
      if (pieces === 0) stop.abort(reason);
      const onProgress = (): void => {
        if (--left === 0) stop.abort(reason);
      };
      expect(await refusal(input, output, "Q8_0", { signal: stop.signal, onProgress })).toBe(reason);
      expect(readdirSync(directory)).toEqual(["model.gguf"]);
    }
  });

  test("quantize() notices that the input ends early meanwhile, and leaves nothing", async () => {
    let isCut = false;
    const onProgress = (): void => {
      if (!isCut) truncateSync(input, 3000);
      isCut = true;
    };
    await expectRefusal(refusal(input, output, "Q8_0", { onProgress }), "input", "when its header was read");
  });

  test("quantize() takes little memory, whatever the file's size", async () => {
    const length = 96 * 2 ** 20;
    const header = writeGguf({}, [
      { name: "x.weight", type: 1, shape: [2 ** 14, 3 * 2 ** 10], data: new Uint8Array(0) },
    ]);
    writeFileSync(input, header);
    truncateSync(input, header.length + length);
    const script = join(import.meta.dirname, "memory.ts");
    const { stdout, stderr } = await run(commandOf(script, [input, output], ["--allow-all"]));
    expect(stderr).toBe("");
    expect(Number(stdout)).toBeLessThan((2 / 3) * length); // pieces of a few MiB, and garbage
    expect(openGguf(output).getTensor("x.weight").type).toBe("q4_0");
  });
});
