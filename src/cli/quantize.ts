/** `bun-metal quantize`: a model in fewer bits. */
import { type QuantizeType, quantize, quantizeTypes } from "../quantize/index.ts";
import { choice, parse, UsageError } from "./usage.ts";

const DEFAULT_TYPE: QuantizeType = "Q4_K_M";

const help = `Usage: bun-metal quantize IN.gguf OUT.gguf [options]

Writes a model in fewer bits. IN has weights in F32, F16 or BF16, and may be any part of a model that is split.

  --type TYPE   what to quantise to (default: ${DEFAULT_TYPE}), with bits per weight:
                  F32 (32), F16 and BF16 (16), Q8_0 (8.5), Q6_K (6.6), Q5_1 (6), Q5_0 (5.5), Q4_1 (5), Q4_0 (4.5)
                  mixes, from large to small: Q5_K_M, Q5_K_S, Q4_K_M, Q4_K_S, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K
                  COPY keeps the types: it makes one file of a model that is split
  --pure        give all matrices the same type, even those that need more bits
  --force       replace an existing file`;

const options = {
  type: { type: "string" },
  pure: { type: "boolean" },
  force: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** Writes the model; returns what to tell the user. */
export async function quantizeFile(args: readonly string[]): Promise<string> {
  const { values, positionals } = parse("quantize", args, options);
  if (values.help === true) return help;
  const [input, output, ...more] = positionals;
  if (input === undefined || output === undefined) {
    const missing = input === undefined ? "The model is" : "The file to write is";
    throw new UsageError(`${missing} missing: bun-metal quantize IN.gguf OUT.gguf`);
  }
  if (more.length > 0)
    throw new UsageError(`One model is quantised at a time, but "${more[0]}" was given too`);
  const named = typeof values.type === "string" ? values.type.toUpperCase() : undefined;
  const type = choice("type", named, quantizeTypes) ?? DEFAULT_TYPE;
  const { byteLength, inputByteLength, tensors } = await quantize(input, output, type, {
    pure: values.pure === true,
    overwrite: values.force === true,
  });
  const counts = new Map<string, number>();
  for (const { to } of tensors) counts.set(to, (counts.get(to) ?? 0) + 1);
  const types = [...counts].map(([name, count]) => `${count} in ${name.toUpperCase()}`).join(", ");
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  return `${output}: ${megabytes(byteLength)}, from ${megabytes(inputByteLength)}\n${tensors.length} tensors: ${types}`;
}
