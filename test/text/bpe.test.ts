import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { createTokenizer, type Tokenizer, tokenTypes, type Vocabulary } from "../../src/text/index.ts";
import { findPreTokenizer, Splitter } from "../../src/text/split.ts";
import { awkwardStrings } from "../corpus/strings.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { gpt2Letters, mergeByRank, trainMerges } from "../reference/tokenizers.ts";

const letters = gpt2Letters();
const prose = readFileSync(join(import.meta.dirname, "../corpus/prose.txt"), "utf8");
// One of each form.
const families = [
  ...["llama-bpe", "dbrx", "qwen2", "gpt-2", "smollm", "default", "tekken", "gpt-4o", "seed-coder"],
  ...["deepseek-llm", "deepseek-coder", "deepseek-v3"],
];

function lettersOf(text: string): string[] {
  return [...new TextEncoder().encode(text)].map((byte) => letters[byte] as string);
}

const trained = trainMerges((`${prose} 你好 🙂🙂 été été`.match(/\s*\S+/g) ?? []).map(lettersOf), 400);

const special = ["<|endoftext|>", "<|im_start|>", "<tool>"];
function vocabulary(pre: string, merges: readonly string[] = trained): Vocabulary {
  const made = [...new Set(merges.map((merge) => merge.replace(" ", "")))];
  const tokens = [...letters, ...made, ...special];
  return {
    model: "gpt2",
    pre,
    tokens,
    types: tokens.map((token) => {
      if (token === "<tool>") return tokenTypes.userDefined;
      return special.includes(token) ? tokenTypes.control : tokenTypes.normal;
    }),
    merges,
    bos: tokens.indexOf("<|endoftext|>"),
    eos: tokens.indexOf("<|endoftext|>"),
  };
}

function expectPlain(tokenizer: Tokenizer, pre: string, merges: readonly string[], text: string): void {
  const { tokens } = vocabulary(pre, merges);
  const ids = tokenizer.encode(text, { addBos: false });
  const { expressions, ignoresMerges } = findPreTokenizer(pre);
  const words = new Splitter(expressions).split(text.toWellFormed());
  const plain = words.flatMap((word) => {
    const symbols = lettersOf(word);
    return ignoresMerges && tokens.includes(symbols.join(""))
      ? [symbols.join("")]
      : mergeByRank(symbols, merges);
  });
  expect(ids.map((id) => tokens[id])).toEqual(plain);
}

test("encode() merges as the plain algorithm does, for every pre-tokenizer", () => {
  for (const pre of families) {
    const tokenizer = createTokenizer(vocabulary(pre));
    for (const text of [...awkwardStrings, prose.slice(0, 700)]) {
      if (text.includes("<|")) continue;
      expectPlain(tokenizer, pre, trained, text);
    }
  }
});

test("encode() merges as the plain algorithm does, on random merges and words short and long", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = mulberry32(seed);
    const symbols = ["a", "b", "c"];
    const merges = new Set<string>();
    for (let i = 0; i < 30; i++) {
      const left = symbols[randomInteger(random, symbols.length)] as string;
      const right = symbols[randomInteger(random, symbols.length)] as string;
      if (left.length + right.length > 8) continue;
      merges.add(`${left} ${right}`);
      symbols.push(left + right);
    }
    const tokenizer = createTokenizer(vocabulary("gpt-2", [...merges]));
    for (const length of [0, 1, 5, 23, 24, 25, 90]) {
      const text = Array.from({ length }, () => "abc"[randomInteger(random, 3)]).join("");
      try {
        expectPlain(tokenizer, "gpt-2", [...merges], text);
      } catch (error) {
        throw new Error(`Seed ${seed}, text ${text}`, { cause: error });
      }
    }
  }
});

test("decode() inverts encode() on any string, for every pre-tokenizer", () => {
  for (const pre of families) {
    const tokenizer = createTokenizer(vocabulary(pre));
    for (const text of awkwardStrings)
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.toWellFormed());
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.toWellFormed());
      }),
      { seed: 13, numRuns: 100 },
    );
  }
});

test("encode() stays fast on long texts and on one long word", () => {
  for (const pre of families) {
    const tokenizer = createTokenizer(vocabulary(pre));
    for (const text of [
      prose.repeat(40),
      "the".repeat(30_000),
      " ".repeat(50_000),
      "7".repeat(50_000),
      "!\n".repeat(20_000),
    ]) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  }
});

test("encode() takes a word that is a token as a whole if the family ignores merges", () => {
  // "the" cannot be reached by these merges, but is a token.
  const base = vocabulary("gpt-2", ["h e", "a b"]);
  const tokens = [...base.tokens, "the"];
  const types = [...Array.from(base.types ?? []), tokenTypes.normal];
  const gpt2 = createTokenizer({ ...base, tokens, types });
  const llama = createTokenizer({ ...base, pre: "llama-bpe", tokens, types });
  expect(gpt2.encode("the").map((id) => tokens[id])).toEqual(["t", "he"]);
  expect(llama.encode("the", { addBos: false }).map((id) => tokens[id])).toEqual(["the"]);
});

test("encode() adds BOS by default for Llama 3 only, and parses special tokens only if asked", () => {
  const llama = createTokenizer(vocabulary("llama-bpe"));
  const qwen = createTokenizer(vocabulary("qwen2"));
  const text = "a<|im_start|>b<tool>";
  expect(llama.encode("a")[0]).toBe(llama.bos as number);
  expect(qwen.encode("a")).toHaveLength(1);
  const { tokens } = vocabulary("qwen2");
  expect(qwen.encode(text, { parseSpecial: true }).map((id) => tokens[id])).toEqual([
    "a",
    "<|im_start|>",
    "b",
    "<tool>",
  ]);
  const plain = qwen.encode(text);
  expect(plain).not.toContain(tokens.indexOf("<|im_start|>"));
  expect(plain).toContain(tokens.indexOf("<tool>"));
  expect(qwen.decode(plain)).toBe(text);
  expect(qwen.decode(qwen.encode(text, { parseSpecial: true }))).toBe("ab<tool>");
  expect(qwen.decode(qwen.encode(text, { parseSpecial: true }), { special: true })).toBe(text);
});

test("Splitter cuts words as each family's tokenizer does", () => {
  const text = "I'LL  pay 12345 now!!\n\n  x\u0085";
  const split = (pre: string): string[] => new Splitter(findPreTokenizer(pre).expressions).split(text);
  const llama = (...digits: string[]): string[] => [
    "I",
    "'LL",
    " ",
    " pay",
    " ",
    ...digits,
    " now",
    "!!\n\n",
    " ",
    " x",
    "\u0085",
  ];
  expect(split("llama-bpe")).toEqual(llama("123", "45"));
  expect(split("qwen2")).toEqual(llama("1", "2", "3", "4", "5"));
  const gpt2 = (...digits: string[]): string[] => [
    "I",
    "'",
    "LL",
    " ",
    " pay",
    ...digits,
    " now",
    "!!",
    "\n\n ",
    " x",
    "\u0085",
  ];
  expect(split("gpt-2")).toEqual(gpt2(" 12345"));
  expect(split("smollm")).toEqual(gpt2(" ", "1", "2", "3", "4", "5"));
  expect(split("default")).toEqual(gpt2(" ", "123", "45"));
});

test("Splitter cuts words at changes of case, as Mistral's and OpenAI's newer tokenizers do", () => {
  const split = (pre: string, text: string): string[] =>
    new Splitter(findPreTokenizer(pre).expressions).split(text);
  const words = "XMLHttp myVar É́téÉ 世界ab ÀB's a//\n12";
  expect(split("tekken", words)).toEqual([
    ...["XMLHttp", " my", "Var", " É", "\u0301téÉ", " 世界ab", " À", "B", "'s", " a", "//\n", "1", "2"],
  ]);
  expect(split("gpt-4o", words)).toEqual([
    ...["XMLHttp", " my", "Var", " É", "\u0301téÉ", " 世界ab", " À", "B's", " a", "//\n", "12"],
  ]);
});

test("Splitter cuts words as DeepSeek's tokenizers do", () => {
  const split = (pre: string, text: string): string[] =>
    new Splitter(findPreTokenizer(pre).expressions).split(text);
  const text = "I'LL  go 1234\n\n x.y 世界ab。\u3000k\u0301  ";
  expect(split("deepseek-llm", text)).toEqual([
    ...["I", "'", "LL", " ", " go", " ", "1234", "\n", "\n", " x", ".", "y", " ", "世界", "ab", "。"],
    ...["\u3000k", "\u0301", "  "],
  ]);
  expect(split("deepseek-coder", text)).toEqual([
    ...[
      "I",
      "'",
      "LL",
      " ",
      " go",
      " ",
      "1",
      "2",
      "3",
      "4",
      "\n",
      "\n",
      " x",
      ".",
      "y",
      " ",
      "世界",
      "ab",
      "。",
    ],
    ...["\u3000k", "\u0301  "],
  ]);
  expect(split("deepseek-v3", text)).toEqual([
    ...["I", "'LL", " ", " go", " ", "123", "4", "\n\n", " x", ".y", " ", "世界", "ab", "。"],
    ...["\u3000k\u0301", "  "],
  ]);
});

test("Splitter loses nothing", () => {
  for (const pre of families) {
    const splitter = new Splitter(findPreTokenizer(pre).expressions);
    for (const text of [...awkwardStrings, prose]) expect(splitter.split(text).join("")).toBe(text);
  }
});

test("createTokenizer() refuses an unknown pre-tokenizer and lists the known ones", () => {
  expect(() => createTokenizer(vocabulary("o200k-next"))).toThrow(
    /"o200k-next" is unknown; known are llama-bpe, .*default/,
  );
});

test("createTokenizer() refuses byte-level BPE without merges, or with broken ones", () => {
  expect(() => createTokenizer({ ...vocabulary("gpt-2"), merges: undefined })).toThrow("needs merges");
  for (const merge of ["ab", "a ", ""]) {
    expect(() => createTokenizer({ ...vocabulary("gpt-2"), merges: [merge] })).toThrow("merge 0 is");
  }
});
