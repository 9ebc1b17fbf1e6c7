/**
 * The leak check that suites of native objects run: what lives after a test file is what lived before it.
 *
 * @example As the last statement of a test file, so that its other hooks have run before:
 * ```ts
 * checkLeaks();
 * ```
 */

import { afterAll, expect } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Device } from "../../src/runtime/index.ts";

/** What lives on the native side of the process. */
export interface NativeLife {
  readonly handles: Readonly<Record<string, number>>;
  readonly bufferBytes: number;
  readonly inFlight: number;
  /** Live Objective-C objects; NaN where the platform cannot tell. */
  readonly objects: number;
  /** Objects ever autoreleased with no pool in place: each of them has leaked. NaN where the platform cannot tell. */
  readonly objectsWithoutPool: number;
}

/** What lives now. */
export function nativeLife(): NativeLife {
  const { bufferBytes, inFlight, objects, objectsWithoutPool } = Device.statistics();
  return { handles: Device.liveHandles(), bufferBytes, inFlight, objects, objectsWithoutPool };
}

/** What lives too much in `after`, in words; empty where nothing leaked. */
export function leaksBetween(before: NativeLife, after: NativeLife): string[] {
  const leaks: string[] = [];
  const compare = (what: string, was: number, is: number): void => {
    if (is > was) leaks.push(`${what}: ${was} before, ${is} after`);
  };
  for (const [kind, was] of Object.entries(before.handles))
    compare(`${kind} handles`, was, after.handles[kind]);
  compare("bytes in buffers", before.bufferBytes, after.bufferBytes);
  compare("submissions in flight", before.inFlight, after.inFlight);
  compare("Objective-C objects", before.objects, after.objects);
  compare("objects without a pool", before.objectsWithoutPool, after.objectsWithoutPool);
  return leaks;
}

/**
 * Waits until nothing leaks compared with `before`, for at most a second: threads of the bridge let go of the last work a
 * moment after its completion is known.
 *
 * @returns what still leaks then.
 */
export async function settledLeaks(before: NativeLife): Promise<string[]> {
  let leaks = leaksBetween(before, nativeLife());
  for (let tries = 0; leaks.length > 0 && tries < 200; tries++) {
    await sleep(5);
    leaks = leaksBetween(before, nativeLife());
  }
  return leaks;
}

/** Opens a device and lets it go, so that what the bridge keeps for the whole process is there already. */
export function warmUp(): void {
  using device = Device.open();
  using buffer = device.buffer(4096);
  buffer.fill(0);
}

/**
 * Registers the check for the test file that calls it. What lives at the call is what must live after the file's hooks,
 * which run in the order of their registration: call it last, at the file's top level.
 */
export function checkLeaks(): void {
  warmUp();
  const before = nativeLife();
  afterAll(async () => {
    const leaks = await settledLeaks(before);
    const classes = leaks.length === 0 ? [] : [...Device.liveObjects()];
    expect({ leaks, classes }).toEqual({ leaks: [], classes: [] });
  });
}
