/** The tokenizer section of a plan file; bridge/model/format.h describes it. */
import { characterRanges, type TokenizerTables } from "../text/index.ts";
import { NONE, SectionWriter } from "./plan_file.ts";

/** PLAN_TOKENIZER_* of bridge/model/format.h. */
const algorithms = { sentencepiece: 1, bytePair: 2 } as const;
const flags = { addBos: 1, addEos: 2, spacePrefix: 4, ignoresMerges: 8 } as const;
/** PLAN_SPECIAL_* of bridge/model/format.h. */
const specialFlags = { control: 1, stripsAfter: 2 } as const;
/** PLAN_EXPRESSION_* of bridge/model/format.h. */
const expressionKinds = {
  gpt2: 1,
  llama3: 2,
  qwen2: 3,
  number: 4,
  punctuation: 5,
  numbers: 6,
  threeDigits: 7,
  tekken: 8,
  gpt4o: 9,
  seedCoder: 10,
  lineEnd: 11,
  alphabetWord: 12,
  markedWord: 13,
  spacedLetters: 14,
  spacedPunctuation: 15,
  trailingSpace: 16,
  eastAsian: 17,
  upToThreeNumbers: 18,
  hanAndKana: 19,
  deepseek3: 20,
} as const;

export function encodeTokenizer(tables: TokenizerTables): Uint8Array {
  const isBytePair = tables.algorithm === "bytePair";
  const spacePrefix = !isBytePair && tables.addSpacePrefix;
  const ignoresMerges = isBytePair && tables.ignoresMerges;
  const merges = isBytePair ? tables.merges : new Int32Array(0);
  const extraSymbols = isBytePair ? tables.extraSymbols : [];
  const expressions = isBytePair ? tables.expressions : [];
  const ranges = isBytePair ? characterRanges() : [];
  const pool: Uint8Array[] = [];
  const encoder = new TextEncoder();

  const out = new SectionWriter();
  out.u32(algorithms[tables.algorithm]);
  out.u32(
    (tables.addBos ? flags.addBos : 0) |
      (tables.addEos ? flags.addEos : 0) |
      (spacePrefix ? flags.spacePrefix : 0) |
      (ignoresMerges ? flags.ignoresMerges : 0),
  );
  out.u32(tables.bos ?? NONE, tables.eos ?? NONE);
  out.u32(tables.pieces.length, tables.special.length, tables.endOfGeneration.length);
  out.u32(merges.length / 3, extraSymbols.length, expressions.length, ranges.length);
  out.offsets(tables.pieces, pool);
  out.offsets(tables.keys, pool);
  if (!isBytePair) out.array(tables.scores);
  out.array(tables.bytes);
  for (const { id, isControl, stripsAfter } of tables.special)
    out.u32(id, (isControl ? specialFlags.control : 0) | (stripsAfter ? specialFlags.stripsAfter : 0));
  out.offsets(
    tables.special.map(({ text }) => encoder.encode(text)),
    pool,
  );
  out.u32(...tables.endOfGeneration);
  out.array(merges);
  const starts = new Uint32Array(extraSymbols.length + 1);
  extraSymbols.forEach((tokens, i) => {
    starts[i + 1] = starts[i] + tokens.length;
  });
  out.array(starts).array(Uint32Array.from(extraSymbols.flat()));
  for (const name of expressions) out.u32(expressionKinds[name]);
  for (const { first, classes } of ranges) out.u32(first | (classes << 24));
  for (const bytes of pool) out.array(bytes);
  return out.finish();
}
