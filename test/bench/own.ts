// The small model and the layers in a process of their own, held to threads and instructions as the others are: started by
// run.ts with the parts and the rounds, prints the figures as one line of JSON.
import { Device, type DeviceInfo } from "../../mod.ts";
import { measureLayers } from "./layers.ts";
import type { Line } from "./measure.ts";
import type { Part } from "./options.ts";
import { measureSmallModel } from "./small.ts";

/** What this program is told. */
export type OwnTask = { readonly parts: readonly Part[]; readonly rounds: number };
/** What it says. */
export type OwnFigures = { readonly device: DeviceInfo; readonly lines: readonly Line[] };

if (import.meta.main) {
  const { parts, rounds } = JSON.parse(process.argv[2] ?? "{}") as OwnTask;
  using device = Device.open();
  const lines: Line[] = [];
  if (parts.includes("small")) lines.push(...(await measureSmallModel(device, rounds)));
  if (parts.includes("layers")) lines.push(...(await measureLayers(device, rounds)));
  const figures: OwnFigures = { device: device.info, lines };
  console.log(JSON.stringify(figures));
}
