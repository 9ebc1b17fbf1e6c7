/**
 * Native objects alive, to compare before and after. A completion is reported from within an autorelease pool of the
 * bridge, so what a submission used is released a moment after its promise has resolved: counts have to settle first.
 */

import { expect } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Device } from "../../src/runtime/index.ts";

export type LiveObjects = {
  readonly handles: Readonly<Record<string, number>>;
  readonly objects: number;
  readonly objectsWithoutPool: number;
  readonly bufferBytes: number;
};

const SETTLING_READINGS = 20;
const MOST_READINGS = 5000;

/** The fewest objects of some readings, a millisecond apart. */
export async function liveObjects(): Promise<LiveObjects> {
  Device.list(); // what a system keeps of its devices is there from the first look at them on
  // What the bridge keeps for the whole process is made on the first look at the devices.
  Device.list();
  let fewest = read();
  for (let i = 1; i < SETTLING_READINGS; i++) {
    await sleep(1);
    const now = read();
    if (now.objects < fewest.objects) fewest = now;
  }
  return fewest;
}

/** Fails unless no more is alive than before, once counts have settled. */
export async function expectNoMoreThan(before: LiveObjects): Promise<void> {
  for (let i = 0; i < MOST_READINGS && read().objects > before.objects; i++) await sleep(1);
  const { objects, ...rest } = read();
  expect(objects).toBeLessThanOrEqual(before.objects);
  expect(rest).toEqual({
    handles: before.handles,
    objectsWithoutPool: before.objectsWithoutPool,
    bufferBytes: before.bufferBytes,
  });
}

function read(): LiveObjects {
  const { objects, objectsWithoutPool, bufferBytes } = Device.statistics();
  return { handles: Device.liveHandles(), objects, objectsWithoutPool, bufferBytes };
}
