export { createSampler, type Sampler } from "./chain.ts";
export type { ResolvedSamplerOptions, SamplerOptions } from "./options.ts";
