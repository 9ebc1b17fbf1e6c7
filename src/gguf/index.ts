export { type GgmlLayout, type GgmlType, ggmlLayout, ggmlTypes } from "./blocks.ts";
export { GgufError } from "./errors.ts";
export { GgufFile, openGguf, parseGguf } from "./file.ts";
export type { ByteRange, GgufHeader, GgufTensor } from "./header.ts";
export type { GgufArray, GgufValue } from "./metadata.ts";
export { type GgufPart, splitKeys } from "./split.ts";
export { encodeCount, type GgufPlan, planGguf, type TensorToWrite } from "./writer.ts";
