/** Texts to compare tokenizers on: all that their rules distinguish, put together at random. */

import { mulberry32, randomInteger } from "../reference/random.ts";
import { awkwardStrings } from "./strings.ts";

const words: readonly string[] = [
  ..."the of and to in that it was with Emma Knightley universally acknowledged 'tis don't I'LL we'Ve O'Clock".split(
    " ",
  ),
  ..."Straße naïve café Ångström œuvre İstanbul ĳsselmeer ﬁn ŉ ǅ ʻokina ÀÉÎ ŁÓDŹ żółć čeština Ελλάδα ἀρχή ΣΊΣΥΦΟΣ".split(
    " ",
  ),
  ..."Здравствуй мир ѓ Ё Հայաստան ԱՐԵՎ საქართველო Ⴀⴀ Ა ᏣᎳᎩ ꭰꭱ 𐐀𐐨 שלום עִבְרִית مرحبا السَّلام فارسی‌ها ١٢٣ हिन्दी क्षि ১২ தமிழ் ไทยน้ำ ລາວ".split(
    " ",
  ),
  ..."မြန်မာ ខ្មែរ བོད་ 你好 世界 漢字カタカナ ひらがな 한국어 조선말 ㄱㄴ ﾊﾝｶｸ ＡＢＣ１２ 𠮷野家 ⺀ 〆切 々 ゟ ヿ Việt ngữ".split(
    " ",
  ),
];

const pieces: readonly string[] = [
  ..."\t\n\r\v\f.,;:!?…\"'`´‘’“”«»‹›-–—_/\\|@#$€£%&*+<=>^~()[]{}§¶•°ªº¹²³½Ⅷ①",
  ..."\u0000\u0001\u0007\u001b\u001c\u001f\u007f\u0080\u0085\u00a0\u00ad\u1680\u180e\u2000\u2003\u200b\u200c\u200d\u200e",
  ..."\u2028\u2029\u202e\u202f\u205f\u2060\u3000\ufeff\ufffd\ufffe\uffff\u0300\u0301\u0308\u0323\u20dd\ufe0f\u20e3",
  ..."。、！？（）「」：；・～￥×÷≠∑√∞♥★→ﷺ\u{1d555}\u{1f600}\u{e0001}\u{f0000}\u{10ffff}",
  ...["🙂", "👍🏽", "👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "1️⃣", "❤️‍🔥", "🫠", "\ud83d", "\udc00\ud800"],
  ...[
    "'s",
    "'S",
    "'re",
    "'LL",
    "'ve",
    "'d",
    "'M",
    "’s",
    "\r\n",
    "\n\n",
    "\n \n",
    " \n",
    "\t\t",
    "--",
    "...",
    "===",
  ],
  ...[
    "0",
    "7",
    "12",
    "123",
    "1234",
    "12345678901",
    "3.14",
    "1,000",
    "0x1F",
    "1e-9",
    "٣٤٥٦",
    "１２３４",
    "²³",
  ],
  ...[
    "def f(x):\n    return x ** 2\n",
    "#include <stdio.h>\n",
    "std::vector<int> v{1,2};",
    "if (a&&b) {\n\t\tc--;\n}",
  ],
  ...[
    "https://example.org/?q=%20a+b&c=d#e",
    "user@example.com",
    "C:\\dir\\file.txt",
    '<div class="x">',
    "</div>",
    "$x_1^2$",
  ],
  ...[
    "camelCaseWords",
    "XMLHttpRequest",
    "snake_case_words",
    "SCREAMING_CASE",
    "iPhone15Pro",
    "ÀB",
    "Éa",
    "aÉ",
    "ABc",
  ],
  ...[
    "▁",
    "▁▁",
    "Ġ",
    "Ċ",
    "<0x41>",
    "<0x0A>",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<|",
    "|>",
    "<｜",
  ],
];

/** What Unicode 15, 16 and 17 have added: the runtime and llama.cpp may know different ones of them. In hexadecimal. */
const recent =
  "88f 897 c5c cdc cf3 ece 1acf-1add 1ae0-1aeb 1b4e-1b4f 1b7f 1c89-1c8a 20c1 2427-2429 2b96 2ffc-2fff " +
  "31e4-31e5 31ef a7cb-a7cf a7d2 a7d4 a7da-a7dc a7f1 fbc3-fbd2 fd90-fd91 fdc8-fdce 105c0-105f3 10940-10959 " +
  "10d40-10d65 10d69-10d85 10d8e-10d8f 10ec2-10ec7 10ed0-10ed8 10efa-10eff 1123f-11241 11380-11389 1138b " +
  "1138e 11390-113b5 113b7-113c0 113c2 113c5 113c7-113ca 113cc-113d5 113d7-113d8 113e1-113e2 116d0-116e3 " +
  "11b00-11b09 11b60-11b67 11bc0-11be1 11bf0-11bf9 11db0-11ddb 11de0-11de9 11f00-11f10 11f12-11f3a " +
  "11f3e-11f5a 1342f 13439-13455 13460-143fa 16100-16139 16d40-16d79 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 " +
  "187f8-187ff 18cff 18d09-18d1e 18d80-18df2 1b132 1b155 1cc00-1ccfc 1cd00-1ceb3 1ceba-1ced0 1cee0-1cef0 " +
  "1d2c0-1d2d3 1df25-1df2a 1e030-1e06d 1e08f 1e4d0-1e4f9 1e5d0-1e5fa 1e5ff 1e6c0-1e6de 1e6e0-1e6f5 " +
  "1e6fe-1e6ff 1f6d8 1f6dc 1f774-1f77f 1f7d9 1f8b2-1f8bb 1f8c0-1f8c1 1f8d0-1f8d8 1fa54-1fa57 1fa75-1fa77 " +
  "1fa87-1fa8a 1fa8e-1fa8f 1faad-1faaf 1fabb-1fabf 1fac6 1fac8 1facd-1facf 1fada-1fadc 1fadf 1fae8-1faea " +
  "1faef 1faf7-1faf8 1fbcb-1fbef 1fbfa 2b739-2b73f 2cea2-2cead 2ebf0-2ee5d 31350-33479";
const unknown = new RegExp(`[\\p{Cn}${recent.replace(/[0-9a-f]+/g, "\\u{$&}").replaceAll(" ", "")}]`, "u");

/** Whether both Unicode tables have a character. */
export function isKnown(character: string): boolean {
  return !unknown.test(character);
}

/** A character of any plane that both Unicode tables have. */
function anyCharacter(random: () => number): string {
  for (;;) {
    const plane =
      randomInteger(random, 4) === 0 ? randomInteger(random, 0x110000) : randomInteger(random, 0x10000);
    const character = String.fromCodePoint(plane);
    if (isKnown(character)) return character;
  }
}

/**
 * Returns texts, the same for the same seed. Lone surrogates are replaced, as they are before any tokenizer sees them.
 *
 * @param special Texts of the vocabulary's special tokens, which are put in whole and damaged.
 */
export function randomTexts(seed: number, count: number, special: readonly string[]): string[] {
  const random = mulberry32(seed);
  const pick = (from: readonly string[]): string => from[randomInteger(random, from.length)] ?? "";
  const fragment = (): string => {
    const kind = randomInteger(random, 20);
    if (kind < 8) return pick(words);
    if (kind < 13) return pick(pieces);
    if (kind < 14) return " ".repeat(1 + randomInteger(random, randomInteger(random, 4) === 0 ? 120 : 8));
    if (kind < 15)
      return pick([" ", "\n", "\t", "a", "é", "世", "!", "9", "🙂", "\u3000"]).repeat(
        2 + randomInteger(random, 20),
      );
    if (kind < 17) return anyCharacter(random);
    if (special.length === 0) return pick(words);
    const token = pick(special);
    if (kind < 19) return token;
    const at = randomInteger(random, token.length + 1);
    return randomInteger(random, 2) === 0
      ? token.slice(0, at)
      : token.slice(0, at) + pick(pieces) + token.slice(at);
  };
  const made = Array.from({ length: count - awkwardStrings.length }, () => {
    let text = "";
    for (let left = 1 + randomInteger(random, 24); left > 0; left--) {
      text += fragment();
      if (randomInteger(random, 2) === 0) text += " ";
    }
    return text;
  });
  return [...awkwardStrings, ...made].map((text) => text.toWellFormed());
}
