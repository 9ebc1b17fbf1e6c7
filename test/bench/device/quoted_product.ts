// The product that is quoted of a GPU of Apple's, here: batched in one command buffer, and in plain C on one thread.
// In a process of its own, started with a task as generation.ts is.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device } from "../../../mod.ts";
import { ROTATION_BYTES } from "../product_programs.ts";
import { measureProduct } from "../product_speed.ts";
import { type Summary, summarise } from "../statistics.ts";
import { PRODUCT_INPUTS, PRODUCT_OUTPUTS } from "./quoted.ts";

export type QuotedProductTask = {
  readonly device: string;
  readonly rounds: number;
  /** Products in one command buffer. */
  readonly counts: readonly number[];
};

export type BatchedProduct = {
  readonly count: number;
  /** Whether a barrier is between each two. */
  readonly chained: boolean;
  /** Copies of the weights that the products take turns with. */
  readonly copies: number;
  readonly microseconds: Summary;
  readonly gigaflops: number;
  readonly error: number;
};

export type PlainC = {
  readonly compiler: string;
  /** Microseconds. */
  readonly q4k: Summary;
  readonly f32: Summary;
};

export type QuotedProduct = {
  readonly batched: readonly BatchedProduct[];
  readonly plainC: PlainC | undefined;
};

const source = join(import.meta.dirname, "../plain_product.c");
const compilers = ["cc", "gcc", "clang", "clang-19"] as const;
const C_ROUNDS = 5;
const ROUND_MILLISECONDS = 20;

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] ?? "{}") as QuotedProductTask;
  console.log(JSON.stringify(await measureQuotedProduct(task, console.log)));
}

export async function measureQuotedProduct(
  { device: name, rounds, counts }: QuotedProductTask,
  log: (line: string) => void,
): Promise<QuotedProduct> {
  using device = Device.open(name);
  const product = {
    name: "quoted",
    type: "q4_k",
    k: PRODUCT_INPUTS,
    n: PRODUCT_OUTPUTS,
    rows: 1,
    form: "plain",
  } as const;
  const batched: BatchedProduct[] = [];
  for (const count of counts) {
    for (const chained of [false, true]) {
      for (const rotationBytes of [ROTATION_BYTES, 0]) {
        const options = { chained, rotationBytes, rounds, milliseconds: ROUND_MILLISECONDS, count };
        const { copies, microseconds, operations, error } = await measureProduct(device, product, options);
        const gigaflops = operations / microseconds.median / 1e3;
        batched.push({ count, chained, copies, microseconds, gigaflops, error });
        const order = chained ? "one after the other" : "side by side";
        log(
          `Q4_K ${PRODUCT_INPUTS} x ${PRODUCT_OUTPUTS}, ${count} in a command buffer ${order}, ${copies} copies of the weights: ` +
            `${microseconds.median.toFixed(2)} µs, ${gigaflops.toFixed(0)} GFLOPS`,
        );
      }
    }
  }
  const plainC = measurePlainC();
  if (plainC === undefined) log("plain C: there is no C compiler that works");
  else
    log(
      `plain C, ${plainC.compiler} -O2: ${plainC.q4k.median.toFixed(0)} µs, of floats ${plainC.f32.median.toFixed(0)} µs`,
    );
  return { batched, plainC };
}

/** Undefined where there is no compiler. */
export function measurePlainC(
  inputs: number = PRODUCT_INPUTS,
  outputs: number = PRODUCT_OUTPUTS,
): PlainC | undefined {
  const directory = mkdtempSync(join(tmpdir(), "plain-product-"));
  try {
    const program = join(directory, "plain_product");
    const compiler = compilers.find((candidate) => compiles(candidate, program));
    if (compiler === undefined) return undefined;
    const { stdout, success } = Bun.spawnSync([program, String(inputs), String(outputs), String(C_ROUNDS)]);
    if (!success) return undefined;
    const said = JSON.parse(stdout.toString()) as { q4_k: number[]; f32: number[] };
    const [q4k, f32] = [said.q4_k, said.f32].map((all) => summarise(all.map((seconds) => 1e6 * seconds)));
    return q4k === undefined || f32 === undefined ? undefined : { compiler, q4k, f32 };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function compiles(compiler: string, program: string): boolean {
  if (Bun.which(compiler) === null) return false;
  const command = [compiler, "-O2", source, "-lm", "-o", program];
  return Bun.spawnSync(command, { stdout: "ignore", stderr: "ignore" }).success;
}
