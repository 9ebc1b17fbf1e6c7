/** Features of a device that make work faster and change no result: their names, and sets of them. */
import { environmentVariable, featureNames } from "../ffi/index.ts";

/**
 * What a device may use to work faster:
 * - `"concurrent-dispatch"`: dispatches between two barriers may overlap;
 * - `"indirect-commands"`: programs are encoded once, into indirect command buffers;
 * - `"residency-sets"`: the memory of programs stays resident between submissions;
 * - `"unretained-references"`: command buffers do not retain what is kept for them anyway;
 * - `"shader-cache"`: compiled pipelines are kept in a file of the user's cache directory;
 * - `"thread-qos"`: threads that submit work are raised to "user initiated".
 */
export type Feature = (typeof featureNames)[number];

/** Returns the set as the bridge takes it. `source` is what named the features, for the message. */
export function featureMask(features: Iterable<string>, source: string): number {
  let mask = 0;
  for (const name of features) {
    const bit = (featureNames as readonly string[]).indexOf(name);
    if (bit < 0) {
      const known = featureNames.map((feature) => `"${feature}"`).join(", ");
      throw new RangeError(`Cannot do without feature "${name}", which ${source} names; there is ${known}`);
    }
    mask |= 1 << bit;
  }
  return mask;
}

/** Returns the features of a set as the bridge gives it. */
export function featuresOf(mask: number): Feature[] {
  return featureNames.filter((_, bit) => (mask >> bit) & 1);
}

/** Returns the set that BUN_METAL_DISABLE lists: names between commas; none where it is unset or empty. */
export function disabledByEnvironment(): number {
  const names = (environmentVariable("BUN_METAL_DISABLE") ?? "").split(",").map((name) => name.trim());
  return featureMask(
    names.filter((name) => name !== ""),
    "BUN_METAL_DISABLE",
  );
}
