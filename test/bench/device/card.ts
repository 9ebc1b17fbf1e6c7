/** What NVIDIA's own tool says of a card; undefined where there is none. */
import type { DeviceInfo } from "../../../mod.ts";

export type Card = {
  readonly name: string;
  readonly driver: string;
  readonly memoryMiB: number;
  readonly smClockMHz: number;
  readonly memoryClockMHz: number;
  readonly powerLimitWatts: number;
};

/** The number of a card, as in `cuda:1`. */
export function cardIndex({ id }: DeviceInfo): number {
  return Number(id.split(":")[1] ?? 0);
}

export async function describeCard(index: number): Promise<Card | undefined> {
  const fields = [
    "name",
    "driver_version",
    "memory.total",
    "clocks.max.sm",
    "clocks.max.memory",
    "power.limit",
  ] as const;
  const values = await query(index, fields);
  if (values === undefined) return undefined;
  const [name, driver, ...numbers] = values;
  const [memoryMiB, smClockMHz, memoryClockMHz, powerLimitWatts] = numbers.map(Number);
  return { name, driver, memoryMiB, smClockMHz, memoryClockMHz, powerLimitWatts };
}

/** Bytes in use on the card, by whomever. */
export async function cardMemory(index: number): Promise<number | undefined> {
  const values = await query(index, ["memory.used"]);
  return values === undefined ? undefined : Number(values[0]) * 2 ** 20;
}

async function query(index: number, fields: readonly string[]): Promise<string[] | undefined> {
  try {
    const command = [`--query-gpu=${fields.join(",")}`, "--format=csv,noheader,nounits", `--id=${index}`];
    const child = Bun.spawn(["nvidia-smi", ...command], {
      stdout: "pipe",
      stderr: "ignore",
      stdin: "ignore",
    });
    const text = await new Response(child.stdout).text();
    if ((await child.exited) !== 0) return undefined;
    return text.trim().split(/,\s*/);
  } catch {
    return undefined; // there is no such program
  }
}
