import { expect, test } from "bun:test";
import {
  createTokenizer,
  tokenizerFromMetadata,
  type Vocabulary,
  vocabularyFromMetadata,
} from "../../src/text/index.ts";

const base: Vocabulary = { model: "llama", tokens: ["<unk>", "a", "b"], bos: 1, unknown: 0 };

test("vocabularyFromMetadata() reads the tokenizer's keys, and no others", () => {
  const metadata = new Map<string, unknown>([
    ["general.name", "a model"],
    ["general.type", 1],
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", ["a", "b"]],
    ["tokenizer.ggml.scores", new Float32Array([0, -1])],
    ["tokenizer.ggml.token_type", new Int32Array([1, 3])],
    ["tokenizer.ggml.eos_token_id", 1],
    ["tokenizer.ggml.add_bos_token", false],
  ]);
  expect(vocabularyFromMetadata(metadata)).toMatchObject({
    model: "llama",
    tokens: ["a", "b"],
    eos: 1,
    addBos: false,
  });
  expect(tokenizerFromMetadata(metadata).vocabSize).toBe(2);
});

test("vocabularyFromMetadata() names the key that is missing or of the wrong kind", () => {
  const metadata = new Map<string, unknown>();
  const message = (): string => {
    try {
      vocabularyFromMetadata(metadata);
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError);
      return String(error);
    }
    return "";
  };
  expect(message()).toContain('no "tokenizer.ggml.model"');
  metadata.set("tokenizer.ggml.model", 7);
  expect(message()).toContain('"tokenizer.ggml.model" of the metadata is not a string');
  metadata.set("tokenizer.ggml.model", "llama");
  expect(message()).toContain('no "tokenizer.ggml.tokens"');
  metadata.set("tokenizer.ggml.tokens", ["a", 1]);
  expect(message()).toContain("not an array of strings");
  metadata.set("tokenizer.ggml.tokens", ["a"]);
  expect(message()).toBe("");
  metadata.set("tokenizer.ggml.scores", ["a"]);
  expect(message()).toContain("not an array of numbers");
  metadata.set("tokenizer.ggml.scores", new BigInt64Array(1));
  expect(message()).toContain("not an array of numbers");
  metadata.delete("tokenizer.ggml.scores");
  metadata.set("tokenizer.ggml.add_bos_token", 1);
  expect(message()).toContain("not a boolean");
});

test("createTokenizer() refuses vocabularies that contradict themselves", () => {
  const fault = (change: Partial<Vocabulary>): string => {
    try {
      createTokenizer({ ...base, ...change });
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
      return String(error);
    }
    return "";
  };
  expect(fault({})).toBe("");
  expect(fault({ model: "bert" })).toContain('the model "bert" is unknown; known are "llama"');
  expect(fault({ tokens: [] })).toContain("no tokens");
  expect(fault({ tokens: ["a", "b", "a"] })).toContain('"a" is both token 0 and token 2');
  expect(fault({ tokens: ["a", "", ""] })).toBe("");
  expect(fault({ scores: [1] })).toContain("1 scores for 3 tokens");
  expect(fault({ types: [1, 1, 1, 1] })).toContain("4 types for 3 tokens");
  expect(fault({ scores: [0, Number.NaN, 0] })).toContain("the score of token 1 is not a number");
  for (const bos of [3, -1, 0.5, 2 ** 32, Number.NaN])
    expect(fault({ bos })).toContain(`the bos token ${bos}`);
  expect(fault({ bos: undefined, addBos: true })).toContain("asks for BOS");
  expect(fault({ bos: undefined })).toBe("");
  expect(fault({ addEos: true })).toContain("asks for BOS or EOS");
});

test("encode() falls back to the unknown token where there are no byte tokens, and says so if there is none", () => {
  const tokenizer = createTokenizer({ ...base, types: [2, 1, 1], addSpacePrefix: false });
  expect(tokenizer.encode("aéb")).toEqual([1, 1, 0, 0, 2]);
  expect(tokenizer.decode([1, 0, 2])).toBe("ab");
  const without = createTokenizer({ ...base, unknown: undefined, addSpacePrefix: false });
  expect(() => without.encode("é")).toThrow("Cannot encode the byte 0xc3");
});

test("encode() refuses BOS and EOS that the vocabulary lacks", () => {
  const tokenizer = createTokenizer({ ...base, bos: undefined });
  expect(() => tokenizer.encode("a", { addBos: true })).toThrow("Cannot add BOS");
  expect(() => tokenizer.encode("a", { addEos: true })).toThrow("Cannot add EOS");
});

test("decode() refuses a byte token whose text is not a byte", () => {
  const tokenizer = createTokenizer({ ...base, types: [2, 6, 1] });
  expect(() => tokenizer.decode([1])).toThrow('Cannot decode byte token "a"');
});

test("control tokens take the white space after them where the model is called Phi 3", () => {
  const tokens = ["<unk>", "<s>", "</s>", "<|user|>", "▁", "▁▁", "a", "\n", "<0x0A>"];
  const encode = (name: string): (string | undefined)[] =>
    tokenizerFromMetadata(
      new Map<string, unknown>([
        ["general.name", name],
        ["tokenizer.ggml.model", "llama"],
        ["tokenizer.ggml.tokens", tokens],
        ["tokenizer.ggml.token_type", new Int32Array([2, 3, 3, 3, 1, 1, 1, 1, 6])],
        ["tokenizer.ggml.add_bos_token", false],
      ]),
    )
      .encode("<|user|> \n a<s>  a</s>\t ", { parseSpecial: true })
      .map((id) => tokens[id]);
  const kept = ["<s>", "▁▁", "▁", "a"];
  expect(encode("Phi3")).toEqual(["<|user|>", "▁", "a", ...kept, "</s>"]);
  expect(encode("Phi-3-mini")).toEqual(["<|user|>", "▁", "a", ...kept, "</s>"]);
  expect(() => encode("Llama")).toThrow("0x09");
});

test("tokens around a gap in code are control tokens, whatever the file calls them", () => {
  const tokens = ["a", "<|fim_prefix|>", "<|repo_name|>", "<|box|>", ..."<|>_fimprexon"];
  const tokenizer = createTokenizer({
    model: "gpt2",
    pre: "qwen2",
    tokens: tokens.filter((text, i) => tokens.indexOf(text) === i),
    types: [1, 4, 4, 4, ...Array(13).fill(1)],
    merges: [],
  });
  const parsed = tokenizer.encode("a<|fim_prefix|><|repo_name|><|box|>", { parseSpecial: true });
  expect(parsed).toEqual([0, 1, 2, 3]);
  const plain = tokenizer.encode("<|fim_prefix|><|repo_name|><|box|>");
  expect(plain).not.toContain(1);
  expect(plain).not.toContain(2);
  expect(plain).toContain(3);
  expect([1, 2, 3].map((id) => tokenizer.isEndOfGeneration(id))).toEqual([false, true, false]);
});
