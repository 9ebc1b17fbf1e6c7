// How fast the kernels of products are alone: many products in one program, each with weights that come from memory.
//   bun run test/bench/products.ts [--device cuda] [--types q8_0,q4_k] [--shapes 8b,1.1b,4096x14336] [--rows 1,512]
//     [--forms plain,norm,residual,gated] [--side-by-side] [--same-weights] [--rounds 5] [--milliseconds 20]
//     [--budget 120] [--without-plain] [--json FILE]
// The device's own kernels beside the shaders as they are (BUN_METAL_CUDA_NATIVE=off), in a process of its own.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Device } from "../../mod.ts";
import { ChildError, Children } from "./children.ts";
import { copySpeed } from "./copy.ts";
import { describeCommit } from "./machine.ts";
import { CaseError, type ProductCase, readCases } from "./product_cases.ts";
import { ROTATION_BYTES } from "./product_programs.ts";
import { measureProduct, type ProductFigure, type ProductOptions } from "./product_speed.ts";

const heading = [
  "| product | type | K x N | rows | kernel | µs | GB/s | of copies | TFLOPS | error | shaders alone, µs | ratio |",
  "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
].join("\n");

async function main(): Promise<void> {
  const { values } = parseArgs({
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
      budget: { type: "string", default: "120" },
      "copy-bytes": { type: "string" },
      "without-plain": { type: "boolean", default: false },
      child: { type: "boolean", default: false },
      json: { type: "string" },
    },
  });
  const end = performance.now() + 1e3 * Number(values.budget);
  let cases: ProductCase[];
  try {
    cases = readCases(values);
  } catch (error) {
    if (!(error instanceof CaseError)) throw error;
    console.error(`products: ${error.message}`);
    process.exit(2);
  }
  const options: ProductOptions = {
    chained: !values["side-by-side"],
    rotationBytes: values["same-weights"] ? 0 : ROTATION_BYTES,
    rounds: Math.max(1, Number(values.rounds) || 1),
    milliseconds: Number(values.milliseconds) || 20,
  };
  using device = Device.open(values.device);
  const figures: ProductFigure[] = [];
  if (values.child) {
    for (const product of cases) {
      if (performance.now() > end) break;
      figures.push(await measureProduct(device, product, options));
    }
    console.log(JSON.stringify(figures));
    return;
  }

  const copy = copySpeed(
    device,
    values["copy-bytes"] === undefined ? undefined : Number(values["copy-bytes"]),
  );
  const about = {
    device: device.info.name,
    commit: describeCommit(),
    date: new Date().toISOString(),
    command: process.argv.slice(2).join(" "),
    copy,
  };
  console.log(`${about.device}, commit ${about.commit}, ${about.date}, copies ${copy.toFixed(0)} GB/s`);
  const order = options.chained ? "one after the other" : "side by side";
  console.log(
    `products ${order}, ${values["same-weights"] ? "of the same weights" : "each of other weights"}\n`,
  );
  console.log(heading);
  const plain: ProductFigure[] = [];
  const save = (): void => {
    if (values.json === undefined) return;
    writeFileSync(values.json, `${JSON.stringify({ about, options, figures, plain }, undefined, 2)}\n`);
  };
  await using children = new Children();
  // By type, so that figures with their ratios come while the rest is measured.
  for (const type of new Set(cases.map((product) => product.type))) {
    const own: ProductFigure[] = [];
    for (const product of cases.filter((one) => one.type === type)) {
      if (performance.now() > end) break;
      try {
        own.push(await measureProduct(device, product, options));
      } catch (error) {
        console.error(`${nameOf(product)}: ${String(error)}`);
      }
    }
    figures.push(...own);
    const seconds = (end - performance.now()) / 1e3;
    if (!values["without-plain"] && own.length > 0 && seconds > 0) {
      const command = [process.execPath, "run", import.meta.filename, "--child", ...process.argv.slice(2)];
      const told = ["--types", type, "--rounds", "3", "--budget", String(seconds)];
      try {
        const said = await children.run(`shaders for ${type}`, [...command, ...told], seconds + 20, {
          BUN_METAL_CUDA_NATIVE: "off",
          BUN_METAL_CPU_NATIVE: "msl",
        });
        plain.push(...(said as ProductFigure[]));
      } catch (error) {
        if (!(error instanceof ChildError)) throw error;
        console.error(error.message);
      }
    }
    for (const figure of own) console.log(line(figure, plain, copy));
    save();
  }
  if (performance.now() > end) console.log("\nThe budget is spent: what is missing was not measured.");
}

function line(figure: ProductFigure, plain: readonly ProductFigure[], copy: number): string {
  const { name, type, k, n, rows, form, kernel, microseconds, weightBytes, operations, error } = figure;
  const other = plain.find((one) => nameOf(one) === nameOf(figure));
  const [median, least, most] = [microseconds.median, microseconds.least, microseconds.most].map(digits);
  const speed = weightBytes / microseconds.median / 1e3;
  const cells = [
    `${name} (${form})`,
    type,
    `${k} x ${n}`,
    rows,
    kernel,
    `${median} (${least} .. ${most})`,
    speed.toFixed(0),
    `${((100 * speed) / copy).toFixed(0)} %`,
    digits(operations / microseconds.median / 1e6),
    error.toExponential(1),
    other === undefined ? "" : digits(other.microseconds.median),
    other === undefined ? "" : (other.microseconds.median / microseconds.median).toFixed(2),
  ];
  return `| ${cells.join(" | ")} |`;
}

function nameOf({ name, type, rows, form }: ProductCase): string {
  return `${name} (${form}) ${type}, ${rows} rows`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

if (import.meta.main) await main();
