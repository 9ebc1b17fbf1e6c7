/** The quantiser: a model in F32, F16 or BF16 becomes one of fewer bits, from file to file, with no device. */
export { QuantizeError, type QuantizeErrorCode } from "./errors.ts";
export { type QuantizeType, quantizeTypes } from "./mix.ts";
export { type QuantizeOptions, type QuantizeProgress, type QuantizeResult, quantize } from "./quantize.ts";
