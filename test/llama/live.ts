/** Native objects alive, to compare before and after. */
import { Device } from "../../src/runtime/index.ts";

export type LiveObjects = {
  readonly handles: Readonly<Record<string, number>>;
  readonly objects: number;
  readonly objectsWithoutPool: number;
  readonly bufferBytes: number;
};

export function liveObjects(): LiveObjects {
  const { objects, objectsWithoutPool, bufferBytes } = Device.statistics();
  return { handles: Device.liveHandles(), objects, objectsWithoutPool, bufferBytes };
}
