#!/usr/bin/env bun
/** The command line: `bun-metal COMMAND`. Each command is a file of its own. */
import process from "node:process";
import { devices } from "./devices.ts";
import { exportPlan } from "./export.ts";
import { quantizeFile } from "./quantize.ts";
import { UsageError } from "./usage.ts";

const help = `Usage: bun-metal COMMAND

  export FILE --out FILE   compile a model for applications without JavaScript
  quantize IN OUT          write a model in fewer bits
  devices                  list the devices that there are

"bun-metal COMMAND --help" says more.`;

/** What a command does with its arguments. Returns what it prints. */
type Command = (args: readonly string[]) => string | Promise<string>;

const commands: Readonly<Record<string, Command>> = { devices, export: exportPlan, quantize: quantizeFile };

function run([name, ...args]: readonly string[]): string | Promise<string> {
  if (name === "--help" || name === "-h" || name === "help") return help;
  if (name === undefined) throw new UsageError(`A command is missing\n\n${help}`);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    throw new UsageError(
      `There is no command "${name}": the commands are ${Object.keys(commands).sort().join(", ")}`,
    );
  }
  return command(args);
}

// 0 is success, 2 a command line that cannot be understood, 1 all else.
try {
  console.log(await run(process.argv.slice(2)));
} catch (error) {
  console.error(`bun-metal: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
