/** The constants of shaders/tiles.h, read from there so that no number is written twice. */

import { readFileSync } from "node:fs";

const source = readFileSync(new URL("../../shaders/tiles.h", import.meta.url), "utf8");

/** Returns the constant of that name. */
export function tile(name: string): number {
  const match = new RegExp(`^\\s*${name} = (\\d+)`, "m").exec(source);
  if (match?.[1] === undefined) throw new RangeError(`shaders/tiles.h has no constant "${name}"`);
  return Number(match[1]);
}
