import { expect, test } from "bun:test";
import fc from "fast-check";
import { createTokenizer, StopMatcher, tokenTypes } from "../../src/text/index.ts";
import { awkwardStrings } from "../corpus/strings.ts";

/** One token for each byte, and one for each of some pairs of bytes, so that text can be cut anywhere. */
const bytes = createTokenizer({
  model: "llama",
  tokens: [
    ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
    "<s>",
    "▁",
    "<tag>",
  ],
  types: [
    ...Array<number>(256).fill(tokenTypes.byte),
    tokenTypes.control,
    tokenTypes.normal,
    tokenTypes.userDefined,
  ],
  bos: 256,
  addSpacePrefix: true,
});

function streamed(ids: readonly number[], continued = true): { pieces: string[]; text: string } {
  const stream = bytes.stream({ continued });
  const pieces = ids.map((id) => stream.push(id));
  pieces.push(stream.end());
  return { pieces, text: pieces.join("") };
}

test("stream() gives well-formed text after every byte, and all of it in the end", () => {
  for (const text of awkwardStrings) {
    const wellFormed = text.toWellFormed();
    const { pieces, text: result } = streamed([...new TextEncoder().encode(wellFormed)]);
    expect(result).toBe(wellFormed);
    for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
    // Complete text is not held back: a character appears with its last byte.
    expect(pieces.filter((piece) => piece !== "")).toEqual([...wellFormed]);
  }
});

test("stream() replaces bytes that are not UTF-8 as TextDecoder does on the whole", () => {
  const whole = new TextDecoder("utf-8", { ignoreBOM: true });
  const lead = fc.constantFrom(
    0xc3,
    0xe2,
    0x80,
    0x96,
    0x81,
    0xf0,
    0x9f,
    0x99,
    0x82,
    0xff,
    0xc0,
    0xed,
    0xa0,
    0xef,
    0xbb,
    0xbf,
  );
  const byte = fc.oneof(lead, fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 24 }), (sequence) => {
      const text = whole.decode(Uint8Array.from(sequence));
      expect(streamed(sequence).text).toBe(text);
      expect(bytes.decode(sequence, { continued: true })).toBe(text);
    }),
    { seed: 5, numRuns: 2000 },
  );
});

test("stream() holds an incomplete character back and ends it with U+FFFD", () => {
  expect(streamed([0x61, 0xf0, 0x9f, 0x99]).pieces).toEqual(["a", "", "", "", "\ufffd"]);
  expect(streamed([0xf0, 0x9f, 0x61]).pieces).toEqual(["", "", "\ufffda", ""]);
  expect(streamed([]).text).toBe("");
});

test("stream() leaves out one space at the very start of a text, and none if it continues one", () => {
  const [bos, space, tag] = [256, 257, 258];
  expect(streamed([bos, space, 0x61, space], false).text).toBe("a ");
  expect(streamed([space, space, 0x61], false).text).toBe(" a");
  expect(streamed([0x20, 0x61], false).text).toBe("a");
  expect(streamed([tag, space, 0x61], false).text).toBe("<tag> a");
  expect(streamed([bos, space, 0x61], true).text).toBe(" a");
});

test("stream() throws for an id that the vocabulary lacks", () => {
  expect(() => bytes.stream().push(259)).toThrow("Cannot decode token 259: the vocabulary has 259 tokens");
});

/** The whole text at once: up to the stop string that is complete first, of those the longest. */
function stopAt(text: string, stops: readonly string[]): { text: string; stop: string | undefined } {
  for (let end = 0; end <= text.length; end++) {
    const found = stops
      .filter((stop) => text.slice(0, end).endsWith(stop))
      .sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { text: text.slice(0, end - found.length), stop: found };
  }
  return { text, stop: undefined };
}

test("StopMatcher gives the same text and stop string however the text is cut", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 5 });
  const stop = fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 8 }), fc.array(stop, { maxLength: 4 }), (pieces, stops) => {
      const matcher = new StopMatcher(stops);
      let text = "";
      let found: string | undefined;
      for (const piece of pieces) {
        const result = matcher.push(piece);
        text += result.text;
        found = result.stop;
        // Nothing that was shown may turn out to have begun a stop string.
        if (found === undefined) expect(stopAt(pieces.join(""), stops).text.startsWith(text)).toBe(true);
      }
      text += matcher.end();
      expect({ text, stop: found }).toEqual(stopAt(pieces.join(""), stops));
    }),
    { seed: 3, numRuns: 3000 },
  );
});

test("StopMatcher holds back only what may begin a stop string", () => {
  const matcher = new StopMatcher(["\n\nQ:", "END"]);
  expect(matcher.push("Hello E").text).toBe("Hello ");
  expect(matcher.push("N").text).toBe("");
  expect(matcher.push("ough\n\n").text).toBe("ENough");
  expect(matcher.push("Q").text).toBe("");
  expect(matcher.push(": more")).toEqual({ text: "", stop: "\n\nQ:" });
  expect(matcher.push("later")).toEqual({ text: "", stop: "\n\nQ:" });
  expect(matcher.end()).toBe("");
});

test("StopMatcher without stop strings holds nothing back, and an empty one is refused", () => {
  expect(new StopMatcher([]).push("text")).toEqual({ text: "text", stop: undefined });
  expect(() => new StopMatcher(["a", ""])).toThrow(RangeError);
});
