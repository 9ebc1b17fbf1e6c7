// Measures products in a process of its own, started by products.ts: a line of JSON for each, and an empty object at the end.
import { Device } from "../../mod.ts";
import { copySpeed } from "./copy.ts";
import type { ProductCase } from "./product_cases.ts";
import { measureProduct, type ProductFigure, type ProductOptions } from "./product_speed.ts";

export type ProductTask = {
  readonly device: string;
  readonly cases: readonly ProductCase[];
  readonly options: ProductOptions;
  readonly copyBytes: number;
  /** Seconds: no case is begun after them. */
  readonly budget: number;
};

/** What it says, line by line. */
export type ProductLine =
  | { readonly device: string; readonly copy: number }
  /** Before each case: a line is heard of when the next one has begun, so this brings the figure before it. */
  | { readonly begin: number }
  | { readonly index: number; readonly figure: ProductFigure }
  | { readonly index: number; readonly error: string };

if (import.meta.main) {
  const {
    device: name,
    cases,
    options,
    copyBytes,
    budget,
  } = JSON.parse(process.argv[2] ?? "{}") as ProductTask;
  const end = performance.now() + 1e3 * budget;
  const say = (line: ProductLine): void => console.log(JSON.stringify(line));
  using device = Device.open(name);
  say({ device: device.info.name, copy: copySpeed(device, copyBytes) });
  for (const [index, product] of cases.entries()) {
    if (performance.now() > end) break;
    say({ begin: index });
    try {
      say({ index, figure: await measureProduct(device, product, options) });
    } catch (error) {
      say({ index, error: String(error) });
    }
  }
  console.log("{}");
}
