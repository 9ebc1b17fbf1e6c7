/** `bun-metal export`: a model's plan for applications without JavaScript. */
import { exportModel, exportTargets, type KvType } from "../llama/index.ts";
import { choice, parse, UsageError, wholeNumber } from "./usage.ts";

const help = `Usage: bun-metal export MODEL.gguf --out APP.bmplan [options]

Compiles a model into a plan. An application ships the plan and the GGUF file beside it, and runs them with the C API
(docs/embedding.md).

  --out FILE           the plan to write
  --target KIND        apple: GPUs from A14 and M1 on; cpu: the CPU, on Linux (default: apple)
  --context TOKENS     longest text (default: what the model was trained for, at most 4096)
  --batch TOKENS       tokens of a prompt that are computed at once (default: 128)
  --kv TYPE            f16, f32 or q8_0: how keys and values are stored (default: f32)
  --max-buffer BYTES   the largest buffer; weights are spread over several (default: 1073741824)
  --page-size BYTES    granularity of mapped weights (default: 16384)
  --force              replace an existing file`;

const options = {
  out: { type: "string" },
  target: { type: "string" },
  context: { type: "string" },
  batch: { type: "string" },
  kv: { type: "string" },
  "max-buffer": { type: "string" },
  "page-size": { type: "string" },
  force: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** Writes the plan; returns what to tell the user. */
export function exportPlan(args: readonly string[]): string {
  const { values, positionals } = parse("export", args, options);
  if (values.help === true) return help;
  const [model, ...more] = positionals;
  if (model === undefined)
    throw new UsageError("The model is missing: bun-metal export MODEL.gguf --out APP.bmplan");
  if (more.length > 0)
    throw new UsageError(`One model is exported at a time, but "${more[0]}" was given too`);
  const { out } = values;
  if (typeof out !== "string" || out === "")
    throw new UsageError("--out is missing: it names the plan to write");
  const result = exportModel(
    model,
    out,
    given({
      target: choice("target", values.target, exportTargets),
      contextLength: wholeNumber("context", values.context),
      batchSize: wholeNumber("batch", values.batch),
      kvType: choice<KvType>("kv", values.kv, ["f16", "f32", "q8_0"]),
      maxBufferLength: wholeNumber("max-buffer", values["max-buffer"]),
      pageSize: wholeNumber("page-size", values["page-size"]),
      overwrite: values.force === true,
    }),
  );
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const lines = [
    `${out}: ${megabytes(result.byteLength)}, for texts of ${result.contextLength} tokens`,
    `${result.kernelCount} kernels, ${result.weightBuffers} ${result.weightBuffers === 1 ? "buffer" : "buffers"} of weights, ${megabytes(result.cacheBytes)} of keys and values`,
  ];
  if (!result.isBesideModel) lines.push(`Put the model beside it, as "${result.modelName}"`);
  return lines.join("\n");
}

/** The options without those that were not given. */
function given<T extends object>(all: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as T;
}
