/** How the next token is chosen. Every value is optional; the defaults are llama.cpp's. */
export interface SamplerOptions {
  /** Divides the logits before they become probabilities; 0 always takes the most probable token. Default: 0.8. */
  readonly temperature?: number | undefined;
  /** Keeps this many of the most probable tokens; 0 keeps all. Default: 40. */
  readonly topK?: number | undefined;
  /** Keeps the most probable tokens that together reach this probability; 1 keeps all. Default: 0.95. */
  readonly topP?: number | undefined;
  /** Keeps tokens at least this times as probable as the most probable one; 0 keeps all. Default: 0.05. */
  readonly minP?: number | undefined;
  /** Makes recent tokens less probable: divides their logits above 0, multiplies those below. 1 is off. Default: 1. */
  readonly repeatPenalty?: number | undefined;
  /** How many of the latest tokens count as recent; `Infinity` for all. Default: 64. */
  readonly repeatLastN?: number | undefined;
  /** A whole number from 0 to 2^53 - 1 that fixes every choice. Default: a random one. */
  readonly seed?: number | undefined;
}

/** Options with every default filled in. */
export interface ResolvedSamplerOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repeatPenalty: number;
  readonly repeatLastN: number;
  readonly seed: number;
}

/**
 * Returns the options with defaults filled in.
 *
 * @throws {RangeError} If a value is outside its range.
 */
export function resolveSamplerOptions(options: SamplerOptions): ResolvedSamplerOptions {
  const resolved = {
    temperature: options.temperature ?? 0.8,
    topK: options.topK ?? 40,
    topP: options.topP ?? 0.95,
    minP: options.minP ?? 0.05,
    repeatPenalty: options.repeatPenalty ?? 1,
    repeatLastN: options.repeatLastN ?? 64,
    seed: options.seed ?? randomSeed(),
  };
  const { temperature, topK, topP, minP, repeatPenalty, repeatLastN, seed } = resolved;
  check(
    "temperature",
    temperature,
    Number.isFinite(temperature) && temperature >= 0,
    "a number of at least 0",
  );
  check("topK", topK, isCount(topK), "a whole number of at least 0 (0 keeps all)");
  check("topP", topP, topP > 0 && topP <= 1, "above 0 and at most 1 (1 keeps all)");
  check("minP", minP, minP >= 0 && minP <= 1, "from 0 (keeps all) to 1");
  check(
    "repeatPenalty",
    repeatPenalty,
    Number.isFinite(repeatPenalty) && repeatPenalty > 0,
    "above 0 (1 is off)",
  );
  const isWindow = isCount(repeatLastN) || repeatLastN === Number.POSITIVE_INFINITY;
  check("repeatLastN", repeatLastN, isWindow, "a whole number of at least 0, or Infinity");
  check("seed", seed, isCount(seed), "a whole number from 0 to 2^53 - 1");
  return resolved;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function check(name: string, value: number, isValid: boolean, range: string): void {
  if (!isValid) throw new RangeError(`Cannot sample with ${name} ${String(value)}: it must be ${range}`);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
