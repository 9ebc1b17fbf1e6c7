export { createSampler, type Sampler } from "./chain.ts";
export { CHOICE_WORDS, CHOSEN_WORDS, decodeChosen } from "./choice.ts";
export type { ResolvedSamplerOptions, SamplerOptions } from "./options.ts";
