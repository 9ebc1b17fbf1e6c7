/** Figures that are quoted from elsewhere, not measured here: what the measured ones stand beside. */

export type QuotedModel = {
  /** Tokens per second. */
  readonly prompt512: number;
  readonly prompt4096: number;
  readonly generation: number;
  /** By depth. */
  readonly deep?: Readonly<Record<string, number>>;
};

/** llama.cpp on an H200, built for it, flash attention on, random weights. */
export const llamaCpp: Readonly<Record<string, QuotedModel>> = {
  "1.1b-f16": { prompt512: 71900, prompt4096: 72400, generation: 772 },
  "1.1b-q8_0": { prompt512: 44600, prompt4096: 44900, generation: 796 },
  "1.1b-q4_0": { prompt512: 43000, prompt4096: 43500, generation: 942 },
  "1.1b-q4_k_m": { prompt512: 37700, prompt4096: 38100, generation: 857 },
  "8b-f16": { prompt512: 24500, prompt4096: 24200, generation: 210, deep: { 8192: 191 } },
  "8b-q8_0": { prompt512: 11500, prompt4096: 11400, generation: 257, deep: { 2048: 246, 8192: 228 } },
  "8b-q4_0": { prompt512: 11300, prompt4096: 11300, generation: 336 },
  "8b-q4_k_m": { prompt512: 9700, prompt4096: 9800, generation: 275 },
};

/** PyTorch's products in F16 on an H200, TFLOP/s. */
export const TORCH_TERAFLOPS = 743;

/** One product of a Q4_K matrix with a vector, batched in one command buffer, on a GPU of Apple's. */
export const appleProduct = { microseconds: 24.7, gigaflops: 531, overWebGpu: 4.8 } as const;
/** Against plain C on one thread, as claimed: from, to. */
export const CLAIMED_OVER_C = [10, 50] as const;

/** A fair shape for it. */
export const PRODUCT_INPUTS = 2560;
export const PRODUCT_OUTPUTS = 10240;

/** What generation is to reach. */
export const goals: Readonly<Record<string, string>> = {
  "1.1b-q8_0": "1500 tok/s",
  "8b-f16": "80 %",
  "8b-q8_0": "70 % (350 tok/s)",
  "8b-q4_0": "55 % (500 tok/s)",
  "8b-q4_k_m": "55 % (480 tok/s)",
};
