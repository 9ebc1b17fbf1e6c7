/** One Worker of soak.ts: does as it is told, and answers when it is done. */
import { Device } from "../../src/runtime/index.ts";
import { churn } from "./churn.ts";

/** What a Worker can be told. */
export type Order =
  | { readonly order: "churn"; readonly creations: number; readonly seed: number }
  | { readonly order: "collect" }
  | { readonly order: "end" };

declare const self: Worker;

const device = Device.open();

self.onmessage = ({ data }: MessageEvent<Order>) => {
  if (data.order === "churn") churn(device, data.creations, data.seed);
  else if (data.order === "collect") Bun.gc(true);
  else device.dispose();
  self.postMessage("done");
};
