/** `bun-metal devices`: what there is to run on. */
import { Device } from "../runtime/index.ts";
import { parse, UsageError } from "./usage.ts";

/** Lists the devices, one a line: what to call it, its name, and its largest buffer. */
export function devices(args: readonly string[]): string {
  const { values, positionals } = parse("devices", args, { help: { type: "boolean", short: "h" } });
  if (values.help === true) return "Usage: bun-metal devices\n\nLists the devices, the preferred one first.";
  if (positionals[0] !== undefined)
    throw new UsageError(`devices takes no arguments, but "${positionals[0]}" was given`);
  const lines = Device.list().map(
    ({ id, name, architecture, maxBufferLength }) =>
      `${id.padEnd(8)} ${name} (${architecture}), buffers up to ${(maxBufferLength / 2 ** 30).toFixed(1)} GiB`,
  );
  return lines.length > 0 ? lines.join("\n") : "There is no device";
}
