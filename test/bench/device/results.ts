/** All that a run on a device finds. It grows, and is written after each part. */
import type { Machine } from "../machine.ts";
import type { Card } from "./card.ts";
import type { Flatness } from "./flatness.ts";
import type { QuotedProduct } from "./quoted_product.ts";
import type { ModelFigures } from "./task.ts";
import type { Torch } from "./torch.ts";

export type DeviceResults = {
  readonly about: {
    readonly date: string;
    readonly commit: string;
    readonly command: string;
    readonly device: string;
    readonly card: Card | undefined;
    readonly machine: Machine;
    readonly bun: string;
    readonly rounds: number;
    readonly batchSize: number;
  };
  /** By name. */
  readonly models: Record<string, ModelFigures>;
  product?: QuotedProduct;
  torch?: Torch;
  flatness?: Flatness & { readonly model: string };
  /** What failed, and what there was no time for. */
  readonly failures: string[];
};
