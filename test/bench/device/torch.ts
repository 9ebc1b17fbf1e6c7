/** PyTorch on the same card, by test/bench/torch_peer.py. */
import { join } from "node:path";
import type { Children } from "../children.ts";
import type { Shape } from "../models.ts";
import type { Summary } from "../statistics.ts";

export type TorchFigures = {
  readonly version: string;
  readonly device: string;
  readonly type: string;
  /** GB/s. */
  readonly copy: number;
  readonly products: readonly {
    readonly rows: number;
    readonly name: string;
    readonly k?: number;
    readonly n?: number;
    readonly teraflops: Summary;
  }[];
  readonly llama: {
    readonly prompts?: Readonly<Record<string, Summary>>;
    readonly generation?: Readonly<Record<string, Summary>>;
    readonly step?: string;
    readonly skipped?: string;
  };
};

/** What it found, or why there is nothing. */
export type Torch = TorchFigures | { readonly skipped: string };

export type TorchTask = Shape & {
  readonly device: "cuda" | "cpu";
  readonly rows: readonly number[];
  readonly depths: readonly number[];
  readonly tokens: number;
  readonly copyBytes: number;
  readonly budget: number;
};

/** Importing PyTorch, and making what it multiplies. */
const BESIDES_SECONDS = 90;
const program = join(import.meta.dirname, "../torch_peer.py");

/** @throws {ChildError} If it failed */
export async function measureTorch(
  children: Children,
  python: string,
  task: TorchTask,
  log: (line: string) => void,
): Promise<Torch> {
  if (Bun.which(python) === null) return { skipped: `There is no ${python}` };
  const command = [python, program, JSON.stringify(task)];
  return (await children.run("PyTorch", command, task.budget + BESIDES_SECONDS, {}, log)) as Torch;
}

/** TFLOP/s of a layer's products, with so many rows. */
export function layerTeraflops(torch: Torch | undefined, rows: number): number | undefined {
  if (torch === undefined || "skipped" in torch) return undefined;
  return torch.products.find((one) => one.rows === rows && one.name === "a layer")?.teraflops.median;
}
