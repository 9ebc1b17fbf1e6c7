/**
 * The op suite, `make test-ops`: all kernels over the shapes of models, against float64 on the dequantised weights. Prints
 * the worst error of each kernel, relative as `largestError` says, and its bound. The bounds are explained where they are
 * defined, in case.ts and in the families. Fails if one is exceeded.
 */

import { referenceTypes } from "../reference/llama_dequantize.ts";
import { boundOf, buildCase, type KernelCase, seedOf } from "./case.ts";
import { KernelRunner } from "./runner.ts";
import { kernelCases, weightCases } from "./suite.ts";

/** What is known of a kernel once its cases ran. */
type Line = { cases: number; worst: number; bound: number; shape: string };

const lines = new Map<string, Line>();
const failures: string[] = [];

/** Runs a case and notes its error. */
function note(runner: KernelRunner, testCase: KernelCase): void {
  const { kernel, shape } = testCase;
  const bound = boundOf(testCase);
  const line = lines.get(kernel) ?? { cases: 0, worst: 0, bound: 0, shape };
  lines.set(kernel, line);
  line.cases++;
  line.bound = Math.max(line.bound, bound);
  try {
    const error = runner.run(kernel, buildCase(testCase), bound);
    if (error > line.worst) Object.assign(line, { worst: error, shape });
  } catch (cause) {
    Object.assign(line, { worst: Infinity, shape });
    failures.push(`${kernel} with ${shape}, seed ${seedOf(testCase)}: ${String(cause)}`);
  }
}

const number = (value: number): string => (value === 0 ? "0" : value.toExponential(1));

/** A Markdown table. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

const operations = [
  ["matvec", (type: string) => `matvec_${type}`],
  ["matvec_tiled", (type: string) => `matvec_tiled_${type}`],
  ["matvec_rows", (type: string) => `matvec_rows_${type}`],
  ["matmul", (type: string) => `matmul_${type}`],
  ["embed", (type: string) => `embed_${type}`],
  ["to f32", (type: string) => `convert_${type}_f32`],
  ["to f16", (type: string) => `convert_${type}_f16`],
] as const;

using runner = new KernelRunner();
for (const testCase of [...kernelCases, ...weightCases]) note(runner, testCase);

const ofWeights = new Set(referenceTypes.flatMap((type) => operations.map(([, kernel]) => kernel(type))));
console.log("Worst errors of kernels that read weights, by type\n");
console.log(
  table(
    ["type", ...operations.map(([name]) => name)],
    referenceTypes.map((type) => [
      type,
      ...operations.map(([, kernel]) => {
        const line = lines.get(kernel(type));
        return line === undefined ? "-" : `${number(line.worst)} of ${number(line.bound)}`;
      }),
    ]),
  ),
);
console.log("\nOther kernels\n");
console.log(
  table(
    ["kernel", "cases", "worst", "bound", "with"],
    [...lines]
      .filter(([kernel]) => !ofWeights.has(kernel))
      .map(([kernel, { cases, worst, bound, shape }]) => [
        kernel,
        String(cases),
        number(worst),
        number(bound),
        shape,
      ]),
  ),
);
const count = [...lines.values()].reduce((sum, { cases }) => sum + cases, 0);
console.log(`\n${count} cases of ${lines.size} kernels, ${failures.length} failed`);
for (const failure of failures) console.error(failure);
process.exitCode = failures.length === 0 ? 0 : 1;
