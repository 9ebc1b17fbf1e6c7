/**
 * The expressions by which byte-level BPE cuts text into words before merging: those of the models' own tokenizers, in
 * the form that llama.cpp gives them. They are written for the flag `v`. bridge/model/pre_tokenizer.c matches the same
 * by hand.
 */

// White space is Unicode's property: JavaScript's own \s lacks U+0085 and has U+FEFF.
const S = "\\p{White_Space}";
const notBeforeText = `(?!\\P{White_Space})`;
const contractions = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const spaces = `${S}*[\\r\\n]+|${S}+${notBeforeText}|${S}+`;

/** Letters and marks of Llama 3 and its descendants, which differ in how many digits stay together. */
const llama3 = (digits: string, lineEnds: string): string =>
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^${S}\\p{L}\\p{N}]+${lineEnds}|${spaces}`;

// Words begin where capitals follow small letters. Letters that have no case, and those beyond ASCII, count as both.
const capital = "[\\p{L}--[a-z]]";
const small = "[\\p{L}--[A-Z]]";
const cased = (suffix: string, digits: string): string => {
  const before = "[^\\r\\n\\p{L}\\p{N}]?";
  const words = `${before}${capital}*${small}+${suffix}|${before}${capital}+${small}*${suffix}`;
  return `${words}|${digits}| ?[^${S}\\p{L}\\p{N}]+[\\r\\n\\/]*|${spaces}`;
};

/** DeepSeek LLM's list of the letters of alphabets that have two cases, as ranges of characters in hexadecimal. */
const alphabets =
  "41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a " +
  "38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf " +
  "1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d " +
  "1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 " +
  "1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f " +
  "2145-2149 214e 2183 2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2 2cf3 a640-a66d a680-a69b a722-a76f " +
  "a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 " +
  "104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943";

/** A class of the letters in that list. */
export const alphabetLetters: string = `[${alphabets.replace(/[0-9a-f]+/g, "\\u{$&}").replaceAll(" ", "")}]`;

export type ExpressionName =
  | "gpt2"
  | "llama3"
  | "qwen2"
  | "number"
  | "punctuation"
  | "numbers"
  | "threeDigits"
  | "tekken"
  | "gpt4o"
  | "seedCoder"
  | "lineEnd"
  | "alphabetWord"
  | "markedWord"
  | "spacedLetters"
  | "spacedPunctuation"
  | "trailingSpace"
  | "eastAsian"
  | "upToThreeNumbers"
  | "hanAndKana"
  | "deepseek3";

/** The expressions by name. */
export const expressions: Readonly<Record<ExpressionName, string>> = {
  gpt2: `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${S}\\p{L}\\p{N}]+|${S}+${notBeforeText}|${S}+`,
  llama3: llama3("\\p{N}{1,3}", "[\\r\\n]*"),
  qwen2: llama3("\\p{N}", "[\\r\\n]*"),
  seedCoder: llama3("\\p{N}", ""),
  number: "\\p{N}",
  punctuation: "[\\p{P}$+<=>\\^~\\|]+",
  numbers: "\\p{N}+",
  threeDigits: "[0-9][0-9][0-9]",
  tekken: cased("", "\\p{N}"),
  gpt4o: cased(`(?:${contractions})?`, "\\p{N}{1,3}"),
  lineEnd: "[\\r\\n]",
  alphabetWord: `${S}?${alphabetLetters}+`,
  // Also letters: the range from ":" to "~" is the model's own.
  markedWord: `${S}?[!-\\/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3001\\u3002]+`,
  spacedLetters: `${S}?\\p{L}+`,
  spacedPunctuation: `${S}?\\p{P}+`,
  // The model's own is \s+$; that a match begins where the white space does keeps it from being tried at each of it.
  trailingSpace: `(?<!${S})${S}+$`,
  eastAsian: `[[\\u0800-\\u9fa5\\uac00-\\ud7ff]--${S}]+`,
  upToThreeNumbers: "\\p{N}{1,3}",
  hanAndKana: "[\\u4e00-\\u9fa5\\u3040-\\u30ff]+",
  deepseek3:
    "[!-\\/:-@\\[-`\\{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" +
    spaces,
};
