import { expect, test } from "bun:test";
import { isDeepStrictEqual } from "node:util";
import { createSampler, type SamplerOptions } from "../../src/sample/index.ts";
import { gaussianArray, mulberry32, randomInteger } from "../reference/random.ts";
import { distribution, penalise } from "../reference/sampling.ts";

const off = { topK: 0, topP: 1, minP: 0, temperature: 1 };

function counts(
  logits: Float32Array,
  options: SamplerOptions,
  draws: number,
  history: number[] = [],
): number[] {
  const sampler = createSampler(options);
  const result = Array.from(logits, () => 0);
  for (let i = 0; i < draws; i++) {
    const id = sampler.sample(logits, history);
    result[id] = (result[id] ?? 0) + 1;
  }
  return result;
}

/**
 * Pearson's statistic, sum of (observed - expected)^2 / expected, over tokens with at least 5 expected draws; the rest
 * counts as one. For a right sampler it has mean k and variance 2k, where k is the number of classes less one.
 */
function expectDistribution(
  observed: readonly number[],
  probabilities: readonly number[],
  label: string,
): void {
  const draws = observed.reduce((a, b) => a + b, 0);
  let statistic = 0;
  let classes = 0;
  let rest = 0;
  let restExpected = 0;
  observed.forEach((count, id) => {
    const wanted = (probabilities[id] ?? 0) * draws;
    if (wanted === 0 && count > 0) throw new Error(`${label}: token ${id} was chosen and is ruled out`);
    if (wanted < 5) {
      rest += count;
      restExpected += wanted;
      return;
    }
    statistic += (count - wanted) ** 2 / wanted;
    classes++;
  });
  if (restExpected >= 5) {
    statistic += (rest - restExpected) ** 2 / restExpected;
    classes++;
  }
  // Six standard deviations above the mean: with fixed seeds this passes for ever or fails for ever, and a sampler that
  // is off by a few percent fails by far (the last test of this file shows that).
  const freedom = classes - 1;
  const bound = freedom + 6 * Math.sqrt(2 * Math.max(freedom, 1));
  if (statistic > bound) throw new Error(`${label}: chi-square is ${statistic}, above ${bound}`);
}

test("sample() draws from the reference's distribution, for every combination of steps", () => {
  for (const topK of [0, 1, 5, 20, 1000]) {
    for (const topP of [1, 0.9, 0.5, 0.01]) {
      for (const minP of [0, 0.05, 1]) {
        for (const temperature of [0.3, 1, 2]) {
          const seed = topK * 1000 + topP * 100 + minP * 10 + temperature;
          const logits = gaussianArray(mulberry32(seed * 7919), 30, 2);
          const options = { topK, topP, minP, temperature };
          const observed = counts(logits, { ...options, seed: Math.round(seed * 100) }, 2000);
          expectDistribution(observed, distribution([...logits], options), JSON.stringify(options));
        }
      }
    }
  }
});

test("sample() keeps exactly the reference's tokens, on logits with many ties", () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = mulberry32(seed);
    const size = 1 + randomInteger(random, 50);
    // Halves: equal logits are frequent, and -Infinity rules some tokens out.
    const logits = Float32Array.from({ length: size }, () =>
      random() < 0.1 ? Number.NEGATIVE_INFINITY : randomInteger(random, 8) / 2,
    );
    logits[randomInteger(random, size)] = 1;
    const options = {
      topK: randomInteger(random, 2) * (1 + randomInteger(random, size)),
      topP: random() < 0.3 ? 1 : 0.013 + 0.98 * random(),
      minP: random() < 0.5 ? 0 : random(),
      // So hot that every token that is left is drawn sooner or later.
      temperature: 1000,
    };
    const probabilities = distribution([...logits], options);
    const observed = counts(logits, { ...options, seed }, 1200);
    const kept = (values: readonly number[]): number[] =>
      values.flatMap((value, id) => (value > 0 ? [id] : []));
    if (!isDeepStrictEqual(kept(observed), kept(probabilities))) {
      throw new Error(
        `Seed ${seed}: kept ${kept(observed)}, not ${kept(probabilities)}; ${JSON.stringify(options)}`,
      );
    }
  }
});

test("sample() at temperature 0 takes the highest logit, of equals the lowest id, whatever else is set", () => {
  const greedy = createSampler({ temperature: 0, topK: 3, topP: 0.1 });
  expect(greedy.sample(Float32Array.of(1, 5, 5, 4), [])).toBe(1);
  expect(greedy.sample(Float32Array.of(-3, -2, -2), [])).toBe(1);
  expect(greedy.sample(Float32Array.of(0, -0), [])).toBe(0);
  expect(greedy.sample(Float32Array.of(Number.NEGATIVE_INFINITY, -1e38), [])).toBe(1);
  for (let seed = 0; seed < 100; seed++) {
    const logits = gaussianArray(mulberry32(seed), 500);
    expect(greedy.sample(logits, [])).toBe(logits.indexOf(Math.max(...logits)));
  }
});

test("sample() with topK 1 is greedy, and so is a temperature near 0", () => {
  for (let seed = 0; seed < 50; seed++) {
    const logits = gaussianArray(mulberry32(seed), 200);
    const best = logits.indexOf(Math.max(...logits));
    expect(createSampler({ topK: 1, seed }).sample(logits, [])).toBe(best);
    expect(createSampler({ temperature: 1e-9, seed }).sample(logits, [])).toBe(best);
    expect(createSampler({ temperature: Number.MIN_VALUE, seed }).sample(logits, [])).toBe(best);
  }
});

test("sample() penalises each recent token once, as the reference does", () => {
  for (const [repeatPenalty, repeatLastN] of [
    [1.5, 3],
    [1.5, 0],
    [0.5, 2],
    [2, Number.POSITIVE_INFINITY],
  ] as const) {
    const logits = gaussianArray(mulberry32(99), 12, 2);
    const history = [0, 1, 2, 3, 3, 4, 4];
    const before = logits.slice();
    const observed = counts(logits, { ...off, repeatPenalty, repeatLastN, seed: 1 }, 4000, history);
    const penalised = penalise([...logits], history, repeatPenalty, repeatLastN);
    expectDistribution(
      observed,
      distribution(penalised, off),
      `penalty ${repeatPenalty}, last ${repeatLastN}`,
    );
    expect(logits).toEqual(before);
  }
  const greedy = createSampler({ temperature: 0, repeatPenalty: 2 });
  expect(greedy.sample(Float32Array.of(3, 2, -1), [0])).toBe(1);
  expect(greedy.sample(Float32Array.of(3, 2, -1), [0, 1])).toBe(0);
  expect(greedy.sample(Float32Array.of(-3, -2), [1])).toBe(0);
});

test("sample() looks at the latest repeatLastN tokens only", () => {
  const greedy = createSampler({ temperature: 0, repeatPenalty: 10, repeatLastN: 2 });
  const logits = Float32Array.of(3, 2, 1);
  expect(greedy.sample(logits, [0, 1, 2])).toBe(0);
  expect(greedy.sample(logits, [2, 0, 1])).toBe(2);
});

test("createSampler() gives the same choices for the same seed, and different ones for another", () => {
  const logits = gaussianArray(mulberry32(5), 1000);
  const sequence = (seed: number): number[] => {
    const sampler = createSampler({ seed, topK: 0 });
    return Array.from({ length: 50 }, () => sampler.sample(logits, []));
  };
  expect(sequence(1)).toEqual(sequence(1));
  expect(sequence(1)).not.toEqual(sequence(2));
  expect(sequence(2 ** 53 - 1)).toEqual(sequence(2 ** 53 - 1));
  expect(sequence(0)).not.toEqual(sequence(2 ** 32));
});

test("createSampler() draws a seed if none is given, and tells it", () => {
  const logits = gaussianArray(mulberry32(6), 1000);
  const first = createSampler({ topK: 0 });
  const again = createSampler({ topK: 0, seed: first.options.seed });
  for (let i = 0; i < 20; i++) expect(first.sample(logits, [])).toBe(again.sample(logits, []));
  expect(first.options).toMatchObject({
    temperature: 0.8,
    topP: 0.95,
    minP: 0.05,
    repeatPenalty: 1,
    repeatLastN: 64,
  });
});

test("sample() keeps the choices of a fixed seed from one version to the next", () => {
  const logits = Float32Array.of(1, 2, 3, 2, 1);
  const sampler = createSampler({ ...off, seed: 42 });
  const ids = Array.from({ length: 24 }, () => sampler.sample(logits, [])).join("");
  expect(ids).toBe("202232312222322321202121");
});

test("sample() works with vocabularies of changing size, and of 128,256 tokens with every step", () => {
  const sampler = createSampler({ seed: 3, repeatPenalty: 1.1 });
  for (const size of [10, 128_256, 1, 10]) {
    const logits = gaussianArray(mulberry32(size), size, 3);
    const id = sampler.sample(logits, [0]);
    expect(id).toBeGreaterThanOrEqual(0);
    expect(id).toBeLessThan(size);
  }
  const logits = gaussianArray(mulberry32(8), 128_256, 3);
  const options = { topK: 0, topP: 0.6, minP: 0, temperature: 1 };
  const allowed = new Set(nucleus(logits, 0.6));
  const large = createSampler({ ...options, seed: 4 });
  for (let i = 0; i < 200; i++) expect(allowed.has(large.sample(logits, []))).toBe(true);
});

/** Ids of the nucleus, by sorting everything. */
function nucleus(logits: Float32Array, topP: number): number[] {
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit));
  const total = weights.reduce((a, b) => a + b, 0);
  const order = Array.from(weights.keys()).sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0));
  let sum = 0;
  const end = order.findIndex((id) => {
    sum += weights[id] ?? 0;
    return sum >= topP * total;
  });
  return order.slice(0, end + 1);
}

test("sample() refuses logits that show that the model is broken", () => {
  for (const temperature of [0, 1]) {
    const sampler = createSampler({ temperature });
    expect(() => sampler.sample(Float32Array.of(1, Number.NaN, 2), [])).toThrow(
      "the logit of token 1 is NaN",
    );
    expect(() => sampler.sample(Float32Array.of(1, Number.POSITIVE_INFINITY), [])).toThrow(
      "token 1 is Infinity",
    );
    expect(() => sampler.sample(new Float32Array(3).fill(Number.NEGATIVE_INFINITY), [])).toThrow(
      "none of the 3 logits",
    );
    expect(() => sampler.sample(new Float32Array(0), [])).toThrow("none of the 0 logits");
    expect(sampler.sample(Float32Array.of(Number.NEGATIVE_INFINITY, 1), [])).toBe(1);
  }
  const penalised = createSampler({ repeatPenalty: 1.1 });
  expect(() => penalised.sample(Float32Array.of(1, 2), [2])).toThrow(
    "Cannot penalise token 2: the model has 2 logits",
  );
});

test("createSampler() refuses options outside their range, and names them", () => {
  const wrong: Record<string, number[]> = {
    temperature: [-0.1, Number.NaN, Number.POSITIVE_INFINITY],
    topK: [-1, 1.5, Number.NaN],
    topP: [0, 1.01, -1, Number.NaN],
    minP: [-0.1, 1.1, Number.NaN],
    repeatPenalty: [0, -1, Number.POSITIVE_INFINITY, Number.NaN],
    repeatLastN: [-1, 0.5, Number.NaN],
    seed: [-1, 0.5, 2 ** 53, Number.NaN],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      expect(() => createSampler({ [name]: value })).toThrow(RangeError);
      expect(() => createSampler({ [name]: value })).toThrow(`Cannot sample with ${name} ${value}`);
    }
  }
});

test("expectDistribution fails for a sampler whose temperature is off by a tenth", () => {
  const logits = gaussianArray(mulberry32(1), 30, 2);
  const observed = counts(logits, { ...off, temperature: 1.1, seed: 1 }, 4000);
  expect(() => expectDistribution(observed, distribution([...logits], off), "control")).toThrow("chi-square");
});
