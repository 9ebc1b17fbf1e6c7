// How fast the kernels of products are alone: many products in one program, each with weights that come from memory, and
// the shaders without the device's own kernels beside. `bun run test/bench/products.ts --help` says what there is to choose.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { digits, percent, spread, table } from "./cells.ts";
import { ChildError, Children, INTERRUPTED, Interrupted } from "./children.ts";
import { COPY_BYTES } from "./copy.ts";
import { describeCommit } from "./machine.ts";
import { OptionError, parseOptions, refused } from "./options.ts";
import { forms, type ProductCase, readCases } from "./product_cases.ts";
import type { ProductLine, ProductTask } from "./product_child.ts";
import { ROTATION_BYTES } from "./product_programs.ts";
import type { ProductFigure } from "./product_speed.ts";

/** Without what stands in for shaders, on every device. */
const SHADERS_ALONE = { BUN_METAL_CUDA_NATIVE: "off", BUN_METAL_CPU_NATIVE: "msl" };
/** Seconds that a process gets beside its budget, to end what it began. */
const GRACE_SECONDS = 30;
/** Rounds of the shaders alone: their figures are only compared with. */
const SHADER_ROUNDS = 3;
/** Activations may be rounded to eight bits; what is further off was not computed right. */
const MOST_ERROR = 0.02;

const help = `bun run test/bench/products.ts: how fast the kernels of products are, and what the shaders alone take

  --device NAME        as Device.open takes it: cpu, cuda, cuda:1 (default: auto)
  --types TYPE,...     of weights (default: f16,q8_0,q4_0,q4_k,q6_k)
  --shapes SHAPE,...   1.1b, 8b: the products of such a model; KxN, as 4096x14336, in each of the forms (default: 1.1b,8b)
  --rows N,...         rows of activations (default: 1)
  --forms FORM,...     of one row: ${forms.join(", ")} (default: as models have them; of KxN: residual)
  --side-by-side       no barriers between products
  --same-weights       all products of a program have the same weights
  --rounds N           (default: 5)
  --milliseconds N     of a round, about (default: 20)
  --copy-bytes N       of a copy that the device's speed is measured by (default: 2^28)
  --without-shaders    the device's own kernels alone
  --budget SECONDS     what is not begun by then is left out (default: 120)
  --json FILE          all that was found
`;

/** What a process found. */
type Side = {
  device: string;
  copy: number;
  readonly figures: (ProductFigure | undefined)[];
  readonly errors: string[];
};

function readWords() {
  const values = parseOptions({
    options: {
      device: { type: "string", default: "auto" },
      types: { type: "string", default: "f16,q8_0,q4_0,q4_k,q6_k" },
      shapes: { type: "string", default: "1.1b,8b" },
      rows: { type: "string", default: "1" },
      forms: { type: "string" },
      "side-by-side": { type: "boolean", default: false },
      "same-weights": { type: "boolean", default: false },
      rounds: { type: "string", default: "5" },
      milliseconds: { type: "string", default: "20" },
      "copy-bytes": { type: "string", default: String(COPY_BYTES) },
      "without-shaders": { type: "boolean", default: false },
      budget: { type: "string", default: "120" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  for (const option of ["rounds", "milliseconds", "copy-bytes", "budget"] as const)
    if (!(Number(values[option]) > 0)) throw new OptionError(`--${option} takes a number above 0`);
  return values;
}

async function main(): Promise<void> {
  const values = readWords();
  if (values.help) {
    console.log(help);
    return;
  }
  const cases = readCases(values);
  const end = performance.now() + 1e3 * Number(values.budget);
  const options = {
    chained: !values["side-by-side"],
    rotationBytes: values["same-weights"] ? 0 : ROTATION_BYTES,
    rounds: Number(values.rounds),
    milliseconds: Number(values.milliseconds),
  };
  const about = {
    commit: describeCommit(),
    date: new Date().toISOString(),
    command: process.argv.slice(2).join(" "),
  };
  await using children = new Children();
  const own = emptySide(cases);
  const shaders = values["without-shaders"] ? undefined : emptySide(cases);
  const measure = (side: Side, rounds: number, environment: Record<string, string>, prefix: string) => {
    const { device, "copy-bytes": copyBytes } = values;
    const task = { device, cases, options: { ...options, rounds }, copyBytes: Number(copyBytes) };
    return measureSide(children, side, task, end, environment, (line) => {
      console.log(`${prefix}${line}`);
      // A run that is cut off has what there was.
      if (values.json === undefined) return;
      writeFileSync(values.json, `${JSON.stringify({ about, options, own, shaders }, undefined, 2)}\n`);
    });
  };
  await measure(own, options.rounds, {}, "");
  if (shaders !== undefined) await measure(shaders, SHADER_ROUNDS, SHADERS_ALONE, "shaders alone: ");
  const order = options.chained ? "one after the other" : "side by side";
  const weights = values["same-weights"] ? "of the same weights" : "each with weights that come from memory";
  console.log(`\n${own.device}, commit ${about.commit}, ${about.date}, copies ${own.copy.toFixed(0)} GB/s`);
  console.log(`Products ${order}, ${weights}; medians, with the least and the most in brackets.\n`);
  console.log(productTable(own, shaders).join("\n"));
  const errors = [...own.errors, ...(shaders?.errors ?? []).map((text) => `shaders alone: ${text}`)];
  for (const error of errors) console.log(`\nnot measured: ${error}`);
  if (performance.now() > end) console.log("\nThe budget is spent: what is missing was not measured.");
}

function emptySide(cases: readonly ProductCase[]): Side {
  return { device: "", copy: Number.NaN, figures: cases.map(() => undefined), errors: [] };
}

/** A process for all cases; one that ends badly is followed by another, for the cases after the one at which it was. */
async function measureSide(
  children: Children,
  side: Side,
  task: Omit<ProductTask, "budget">,
  end: number,
  environment: Record<string, string>,
  log: (line: string) => void,
): Promise<void> {
  for (let next = 0; next < task.cases.length && performance.now() < end; ) {
    const budget = (end - performance.now()) / 1e3;
    const first = next;
    const cases = task.cases.slice(first);
    const command = [process.execPath, "run", join(import.meta.dirname, "product_child.ts")];
    const told: ProductTask = { ...task, cases, budget };
    const read = (text: string): void => {
      const line = JSON.parse(text) as ProductLine;
      if ("copy" in line) {
        side.device = line.device;
        side.copy = line.copy;
        return;
      }
      if ("begin" in line) return;
      const product = cases[line.index];
      next = first + line.index + 1;
      if ("figure" in line) {
        side.figures[next - 1] = line.figure;
        log(`${nameOf(product)}: ${digits(line.figure.microseconds.median)} µs`);
      } else {
        side.errors.push(`${nameOf(product)}: ${line.error}`);
        log(`${nameOf(product)}: ${line.error}`);
      }
    };
    try {
      await children.run(
        "products",
        [...command, JSON.stringify(told)],
        budget + GRACE_SECONDS,
        environment,
        read,
      );
      break;
    } catch (error) {
      if (!(error instanceof ChildError)) throw error;
      side.errors.push(`${nameOf(task.cases[next] ?? cases[0])}: ${error.message}`);
      next++;
    }
  }
}

function productTable(own: Side, shaders: Side | undefined): string[] {
  const rows = own.figures.flatMap((figure, i) =>
    figure === undefined ? [] : [rowOf(figure, shaders?.figures[i], own.copy)],
  );
  const speeds = ["µs", "GB/s", "of copies", "TFLOPS", "error"];
  return table(["product", "type", "K x N", "rows", "kernel", ...speeds, "shaders alone, µs", "ratio"], rows);
}

function rowOf(figure: ProductFigure, shader: ProductFigure | undefined, copy: number): string[] {
  const { name, type, k, n, rows, form, also = [], kernel } = figure;
  const { microseconds, weightBytes, operations, error } = figure;
  const speed = weightBytes / microseconds.median / 1e3;
  return [
    `${name} (${form})`,
    type,
    `${k} x ${[n, ...also].join(", ")}`,
    String(rows),
    kernel,
    spread(microseconds),
    speed.toFixed(0),
    percent(speed / copy),
    digits(operations / microseconds.median / 1e6),
    `${error < MOST_ERROR ? "" : "**wrong** "}${error.toExponential(1)}`,
    shader === undefined ? "" : digits(shader.microseconds.median),
    shader === undefined ? "" : (shader.microseconds.median / microseconds.median).toFixed(2),
  ];
}

function nameOf({ name, type, rows, form }: ProductCase): string {
  return `${name} (${form}), ${type}, ${rows} ${rows === 1 ? "row" : "rows"}`;
}

try {
  await main();
} catch (error) {
  process.exitCode = error instanceof Interrupted ? INTERRUPTED : refused("products", error);
}
