/** How fast one kind of product is: rounds of programs that are full of it. */
import type { Device } from "../../mod.ts";
import { rowBytes } from "../../src/tensor/index.ts";
import type { ProductCase } from "./product_cases.ts";
import { productProgram } from "./product_programs.ts";
import { type Summary, summarise } from "./statistics.ts";

/** Products of one row in a program, at most: so many that what a program costs does not count. */
const ONE_ROW_COUNT = 192;
/** At least, and products of more rows. */
const FEWEST = 4;
/** Bytes of weights that a program of one row is to read, on GPUs and on the CPU: about half a millisecond and ten. */
const GPU_BYTES = 2 ** 31;
const CPU_BYTES = 2 ** 27;
/** Fewer than a queue takes at once. */
const MOST_RUNS = 32;

/** What was measured of a case. */
export type ProductFigure = ProductCase & {
  readonly kernel: string;
  readonly copies: number;
  /** Of one product, over the rounds. */
  readonly microseconds: Summary;
  readonly weightBytes: number;
  readonly operations: number;
  /** Against float64, root mean square, relative. */
  readonly error: number;
};

/** How products are measured. */
export type ProductOptions = {
  readonly chained: boolean;
  readonly rotationBytes: number;
  readonly rounds: number;
  readonly milliseconds: number;
};

/** Measures one case: rounds of as many runs of a program as take the time. */
export async function measureProduct(
  device: Device,
  product: ProductCase,
  options: ProductOptions & { readonly count?: number },
): Promise<ProductFigure> {
  const count = options.count ?? usualCount(device, product);
  using made = productProgram(device, product, { ...options, count });
  const error = made.error();
  const run = async (times: number): Promise<number> => {
    const start = performance.now();
    await Promise.all(Array.from({ length: times }, () => device.queue.submit(made.program, made.words)));
    return (performance.now() - start) / times;
  };
  await run(2); // from the second run on a program is what the device keeps of it
  const times = Math.max(1, Math.min(MOST_RUNS, Math.ceil(options.milliseconds / (await run(1)))));
  await run(times); // each of those in flight at once has a graph of its own, which is made when it is first needed
  const each: number[] = [];
  for (let round = 0; round < options.rounds; round++) each.push((1e3 * (await run(times))) / count);
  const microseconds = summarise(each);
  if (microseconds === undefined) throw new RangeError("There has to be a round");
  const { kernel, copies, weightBytes, operations } = made;
  return { ...product, kernel, copies, microseconds, weightBytes, operations, error };
}

function usualCount(device: Device, { type, k, n, rows, also = [] }: ProductCase): number {
  if (rows > 1) return FEWEST;
  const outputs = also.reduce((sum, height) => sum + height, n);
  const bytes = device.info.backend === "cpu" ? CPU_BYTES : GPU_BYTES;
  return Math.max(FEWEST, Math.min(ONE_ROW_COUNT, Math.round(bytes / (outputs * rowBytes(type, k)))));
}
