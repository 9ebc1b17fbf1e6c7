/** Command lines that cannot be understood. */
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** What was typed is wrong; the message says how. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export type ParsedArguments = {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
};

/**
 * Takes arguments apart.
 *
 * @param command For messages.
 * @throws {UsageError} For an unknown option, or one without its value.
 */
export function parse(
  command: string,
  args: readonly string[],
  options: ParseArgsOptionsConfig,
): ParsedArguments {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      strict: true,
    });
    return { values: values as ParsedArguments["values"], positionals };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(". ")[0] : String(error);
    throw new UsageError(`${reason}; "bun-metal ${command} --help" lists the options`);
  }
}

/** The whole number that an option was given, or undefined. @throws {UsageError} for anything else */
export function wholeNumber(name: string, value: string | boolean | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new UsageError(`--${name} takes a whole number, not "${value}"`);
  return number;
}

/** The one of `choices` that an option was given, or undefined. @throws {UsageError} for anything else */
export function choice<T extends string>(
  name: string,
  value: string | boolean | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const found = choices.find((known) => known === value);
  if (found === undefined) throw new UsageError(`--${name} takes ${choices.join(" or ")}, not "${value}"`);
  return found;
}
