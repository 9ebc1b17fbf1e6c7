// The index of a vocabulary's texts against a Map: random texts of few letters, so that many begin, end and join alike.
import { expect, test } from "bun:test";
import { TextIndex } from "../../src/text/text_index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";

const seed = (Math.random() * 2 ** 32) >>> 0;
const letters = ["a", "b", " ", "\u0120", "\u{1f600}", "\0"];

test("TextIndex finds what a Map finds, in parts of texts and in parts that are joined, too", () => {
  const random = mulberry32(seed);
  const text = (most: number): string =>
    Array.from(
      { length: randomInteger(random, most) },
      () => letters[randomInteger(random, letters.length)],
    ).join("");
  for (const count of [0, 1, 40, 3000]) {
    const texts = [...new Set(Array.from({ length: count }, () => text(8)))];
    const map = new Map(texts.map((known, id) => [known, id]));
    map.delete("");
    const index = new TextIndex(texts);
    expect(index.repeated, `seed ${seed}`).toBeUndefined();
    expect(index.longest).toBe(Math.max(0, ...texts.map(({ length }) => length)));
    const ids = new Int32Array(3);
    const wrong: unknown[] = [];
    for (let i = 0; i < 3000; i++) {
      const [left, right] = [text(6), text(6)];
      const wanted = [left, right, left + right].map((part) => map.get(part) ?? -1);
      index.findParts(`${left} ${right}`, left.length, ids);
      const got = [...ids, index.find(left)];
      if (got.join() !== [...wanted, wanted[0]].join()) wrong.push({ left, right, wanted, got });
    }
    expect(wrong, `seed ${seed}`).toEqual([]);
  }
});

test("TextIndex tells which text is there twice, and takes empty ones for none", () => {
  expect(new TextIndex(["", "a", "", "b"]).repeated).toBeUndefined();
  const index = new TextIndex(["a", "b", "", "c", "b", "a"]);
  expect(index.repeated).toEqual([1, 4]);
  expect(["", "a", "b", "c"].map((text) => index.find(text))).toEqual([-1, 0, 1, 3]);
});
