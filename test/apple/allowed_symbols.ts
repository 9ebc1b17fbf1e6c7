// apple/symbols.txt: which symbols an artifact may import, and from where.
import type { Import } from "./mach_o.ts";

export type AllowedSymbol = { readonly library: string; readonly isWeak: boolean };

export type Allowed = {
  /** Compatibility version of each library by install name. */
  readonly libraries: ReadonlyMap<string, number>;
  readonly symbols: ReadonlyMap<string, AllowedSymbol>;
};

/** What the table allows for a target, as "x86_64-macos". */
export function readAllowed(table: string, target: string): Allowed {
  const libraries = new Map<string, number>();
  const symbols = new Map<string, AllowedSymbol>();
  let library = "";
  for (const line of table.split("\n")) {
    const [kind, name, ...rest] = line.trim().split(/\s+/);
    if (kind === "" || kind.startsWith("#")) continue;
    if (kind === "library") {
      library = target.endsWith("-macos") ? rest[0].replace(/[[\]]/g, "") : rest[0].replace(/\[.*\]/, "");
      libraries.set(library, Number(rest[1]));
      continue;
    }
    const holds = rest.every((condition) => {
      const [word, text] = condition.split("=");
      if (word === "only") return target.includes(text);
      if (word === "except") return !target.includes(text);
      if (condition === "weak") return true;
      throw new SyntaxError(`apple/symbols.txt has the unknown condition "${condition}"`);
    });
    if (!holds) continue;
    for (const symbol of symbolsOf(kind, name))
      symbols.set(symbol, { library, isWeak: rest.includes("weak") });
  }
  return { libraries, symbols };
}

/** What is wrong with an import, or undefined. */
export function importFault({ symbol, library, isWeak }: Import, allowed: Allowed): string | undefined {
  const expected = allowed.symbols.get(symbol);
  if (expected === undefined) return `${symbol} is not allowed`;
  if (expected.library !== library) return `${symbol} comes from ${library}, not from ${expected.library}`;
  if (expected.isWeak !== isWeak) return `${symbol} is imported ${isWeak ? "weakly" : "strongly"}`;
  return undefined;
}

function symbolsOf(kind: string, name: string): string[] {
  switch (kind) {
    case "class":
      return [`_OBJC_CLASS_$_${name}`, `_OBJC_METACLASS_$_${name}`];
    case "exception":
      return [`_OBJC_EHTYPE_$_${name}`];
    case "symbol":
      return [name];
    default:
      throw new SyntaxError(`apple/symbols.txt has the unknown kind "${kind}"`);
  }
}
