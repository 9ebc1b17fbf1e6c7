/** A device's choices against the host's: the same for any logits, options and seeds, in threadgroups of any size. */
import { expect, test } from "bun:test";
import { Device, ProgramBuilder } from "../../src/runtime/index.ts";
import {
  CHOICE_WORDS,
  CHOSEN_WORDS,
  createSampler,
  decodeChosen,
  type SamplerOptions,
} from "../../src/sample/index.ts";
import { gaussianArray, mulberry32, randomInteger } from "../reference/random.ts";

/** Logits of every sort: smooth, with ties, of any bits, of very different sizes. */
function randomLogits(random: () => number): Float32Array {
  const size = 1 + randomInteger(random, random() < 0.1 ? 3000 : 300);
  const kind = randomInteger(random, 5);
  if (kind === 0) return gaussianArray(random, size, 3);
  if (kind === 1) return gaussianArray(random, size, 0.01).map((value) => value - 4);
  const words = Uint32Array.from({ length: size }, () => randomInteger(random, 2 ** 32));
  if (kind === 2) return new Float32Array(words.buffer); // NaN and Infinity among them, as a rule
  if (kind === 3) return Float32Array.from(words, (word) => (word % 7 === 0 ? -Infinity : (word % 16) / 4));
  return Float32Array.from(words, (word) => ((word % 1001) - 500) * 10 ** ((word % 23) - 19));
}

function randomOptions(random: () => number): SamplerOptions {
  const one = (...values: readonly number[]): number => values[randomInteger(random, values.length)] ?? 0;
  return {
    temperature: one(0, 1e-9, Number.MIN_VALUE, 0.5, 0.8, 1, 3, 1e9, 1e300),
    topK: one(0, 0, 1, 2, 40, 250, 1e9, 2 ** 52),
    topP: one(1, 1, 0.95, 0.5, 1e-9, Number.MIN_VALUE, 1 - 2 ** -53, random()),
    minP: one(0, 0, 0.05, 1, 1e-30, Number.MIN_VALUE, random()),
    seed: randomInteger(random, 2 ** 32),
  };
}

/** A token, or the message of the error. */
function attempt(choose: () => number): number | string {
  try {
    return choose();
  } catch (error) {
    return String(error);
  }
}

test("a device chooses as the host does, whatever the logits and options", () => {
  using device = Device.open();
  const pipeline = device.shaders().pipeline("sample_f32");
  const outcomes = { tokens: 0, errors: 0 };
  for (let seed = 0; seed < 400; seed++) {
    const random = mulberry32(seed);
    const logits = randomLogits(random);
    const options = randomOptions(random);
    const threads = [1, 1, 5, 32, 96][seed % 5] ?? 1;
    const wanted = attempt(() => createSampler(options).sample(logits, []));

    const words = new Uint32Array(CHOICE_WORDS);
    createSampler(options).encode(words);
    using owned = new DisposableStack();
    const chosen = owned.use(device.buffer(4 * CHOSEN_WORDS));
    const buffers = [logits, words, new Uint32Array(1), new Uint32Array(logits.length)].map((data) => ({
      buffer: owned.use(device.bufferFrom(data)),
    }));
    const program = owned.use(
      new ProgramBuilder(device)
        .dispatch({
          pipeline,
          buffers: [...buffers, { buffer: chosen }],
          constants: { 5: Uint32Array.of(logits.length, 1) },
          threadgroups: [1, 1, 1],
          threadsPerThreadgroup: [threads, 1, 1],
        })
        .build(),
    );
    device.queue.run(program);
    const got = attempt(() => decodeChosen(chosen.view(Uint32Array), logits.length));
    if (got !== wanted) {
      const given = `${JSON.stringify(options)}, ${logits.length} logits, ${threads} threads`;
      throw new Error(`Seed ${seed}: the device gives ${got}, the host ${wanted}; ${given}`);
    }
    outcomes[typeof got === "number" ? "tokens" : "errors"]++;
  }
  expect(outcomes.tokens).toBeGreaterThan(200);
  expect(outcomes.errors).toBeGreaterThan(20);
});
