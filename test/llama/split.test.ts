// A model in several files is the model in one: the same weights, the same text, on every way of placing them.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { openGguf } from "../../src/gguf/index.ts";
import { exportModel, Llama, ModelError } from "../../src/llama/index.ts";
import { readModelFile } from "../../src/llama/load.ts";
import { loadWeights } from "../../src/llama/weight_buffers.ts";
import { Device } from "../../src/runtime/index.ts";
import { splitModel, splitName } from "../reference/gguf_split.ts";
import { encodeF32 } from "../reference/gguf_writer.ts";
import { deviceAs, deviceWithoutMappings } from "./devices.ts";
import { readGolden } from "./golden.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { models, takeApart } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";
import { tinyModel } from "./tiny_model.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

const ways = [
  [1, false],
  [2, false],
  [5, false],
  [3, true],
] as const;

const paths = new Map<number, string[]>();
beforeAll(() => {
  const { metadata, tensors } = takeApart(models.q8_0);
  for (const [count, tensorlessFirst] of ways) {
    const files = splitModel(metadata, tensors, count, { tensorlessFirst });
    paths.set(
      count,
      files.map((bytes, part) => folder.write(splitName("austen", part, count), bytes)),
    );
  }
});

function partsOf(count: number): string[] {
  const found = paths.get(count);
  if (found === undefined) throw new Error(`The model was not split into ${count}`);
  return found;
}

async function greedy(path: string, device: Device, prompt: string): Promise<string> {
  using llama = await Llama.load(path, { device, contextLength: 256 });
  let text = "";
  for await (const piece of llama.generate(prompt, { temperature: 0, maxTokens: 24 })) text += piece;
  return text;
}

describe("Llama.load() of split models", () => {
  const prompt = readGolden().then((prompts) => {
    const found = prompts.find(({ runs }) => runs["austen-5m-q8_0.gguf"].greedy_text !== undefined);
    if (found === undefined) throw new Error("golden.json has no continuation");
    return { text: found.text, greedy: found.runs["austen-5m-q8_0.gguf"].greedy_text?.trimStart() ?? "" };
  });

  for (const [count, tensorlessFirst] of ways) {
    const how = tensorlessFirst ? ", the first without tensors" : "";
    test(`Llama.load() of ${count} parts generates what llama.cpp does${how}`, async () => {
      const { text, greedy: expected } = await prompt;
      using device = Device.open();
      for (const path of new Set([partsOf(count)[0], partsOf(count).at(-1) ?? ""])) {
        const found = (await greedy(path, device, text)).trimStart();
        expect(found.length).toBeGreaterThan(40);
        expect(expected.startsWith(found)).toBe(true);
      }
    });
  }

  test("Llama.load() places parts in buffers however the device wants them", async () => {
    const before = await liveObjects();
    {
      const { text } = await prompt;
      using device = Device.open();
      const expected = await greedy(models.q8_0, device, text);
      for (const [placement, open] of [
        ["mapped", () => deviceAs({ weightStorage: "shared" })],
        ["copied", () => deviceWithoutMappings({ weightStorage: "shared" })],
        ["private", () => deviceAs({ weightStorage: "private" })],
      ] as const) {
        using other = open();
        using llama = await Llama.load(partsOf(5)[0], { device: other, contextLength: 256 });
        expect(llama.statistics).toMatchObject({ weightPlacement: placement, weightBuffers: 5 });
        expect(await greedy(partsOf(5)[2], other, text)).toBe(expected);
      }
    }
    await expectNoMoreThan(before);
  });

  test("loadWeights() refuses a part that changed since its header was read", async () => {
    const { metadata, tensors } = takeApart(models.q8_0);
    const files = splitModel(metadata, tensors, 2);
    const written = files.map((bytes, part) => folder.write(splitName("changing", part, 2), bytes));
    const { parts } = openGguf(written[0]);
    appendFileSync(written[1], "more");
    using device = Device.open();
    const layout = {
      chunks: [{ part: 0, offset: 0, byteLength: 4096 }],
      places: new Map(),
      byteLength: 4096,
    };
    const error = await loadWeights(device, parts, layout).catch((cause: unknown) => cause);
    expect(String(error)).toContain(splitName("changing", 1, 2));
  });

  test("readModelFile() reads frequency factors from the part that has them", () => {
    const { metadata, tensors } = tinyModel();
    const factors = Float32Array.from({ length: 8 }, (_, i) => i + 1);
    tensors.push({ name: "rope_freqs.weight", type: 0, shape: [8], data: encodeF32(factors) });
    const files = splitModel(metadata, tensors, 3);
    const written = files.map((bytes, part) => folder.write(splitName("factors", part, 3), bytes));
    expect(readModelFile(written[0]).ropeFactors.any).toEqual(factors);
  });

  test("exportModel() refuses a model in several files, and takes one in a single part", () => {
    const out = join(folder.path, "split.bmplan");
    expect(() => exportModel(partsOf(2)[0], out, { target: "cpu" })).toThrow(ModelError);
    expect(() => exportModel(partsOf(2)[0], out, { target: "cpu" })).toThrow("its weights are in 2 files");
    expect(exportModel(partsOf(1)[0], out, { target: "cpu" }).isBesideModel).toBe(true);
  });
});
