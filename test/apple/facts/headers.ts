// Reads what Objective-C headers declare: as much of the language as the headers of bridge/linux use.

/** The systems that a declaration first came with, as API_AVAILABLE has it: "15/18" for macOS and iOS; "-" without. */
export type Since = string;

export interface Member {
  readonly kind: "method" | "property";
  readonly returns: string;
  readonly arguments: readonly string[];
  readonly since: Since;
}

/** A protocol or a class. Properties count as their accessors; class methods begin with "+". */
export interface Owner {
  readonly kind: "protocol" | "class";
  /** The protocol or class that it inherits from; "" where there is none. */
  readonly inherits: string;
  readonly since: Since;
  readonly members: ReadonlyMap<string, Member>;
}

export interface Enumerator {
  readonly type: string;
  readonly underlying: string;
  readonly value: bigint;
}

export interface Struct {
  readonly size: number;
  readonly fields: string;
}

export interface Declarations {
  readonly enumerators: ReadonlyMap<string, Enumerator>;
  readonly structs: ReadonlyMap<string, Struct>;
  readonly owners: ReadonlyMap<string, Owner>;
  readonly functions: ReadonlyMap<string, Since>;
  readonly constants: ReadonlyMap<string, Since>;
}

const availability = /API_AVAILABLE\(macos\((\d+)\.(\d+)\), ios\((\d+)\.(\d+)\)\)/;

function sinceOf(text: string): Since {
  const found = availability.exec(text);
  if (!found) return "-";
  const version = (major: string | undefined, minor: string | undefined): string =>
    minor === "0" ? `${major}` : `${major}.${minor}`;
  return `${version(found[1], found[2])}/${version(found[3], found[4])}`;
}

/** A type without spaces and without what does not change it, the names of a block's parameters among that. */
function typeOf(text: string): string {
  const block = /^(.*\(\^\)\()(.*)\)$/s.exec(text);
  if (block) {
    const types = (block[2] ?? "")
      .split(",")
      .map((parameter) => parameter.trim().replace(/([\s*])\w+$/, "$1"));
    return `${block[1]}${types.join(",")})`.replace(/\s+/g, "");
  }
  return text.replace(/\b(nullable|nonnull|oneway)\b/g, "").replace(/\s+/g, "");
}

const limits: Readonly<Record<string, bigint>> = {
  NSIntegerMax: 2n ** 63n - 1n,
  NSUIntegerMax: 2n ** 64n - 1n,
};

/** An enumerator's expression: numbers, names, shifts. */
function enumeratorValue(text: string, names: ReadonlyMap<string, bigint>): bigint {
  const terms = text.split("<<").map((term) => {
    const word = term.trim();
    if (/^-?(0x[0-9a-fA-F]+|\d+)$/.test(word))
      return word.startsWith("-") ? -BigInt(word.slice(1)) : BigInt(word);
    const known = limits[word] ?? names.get(word);
    if (known === undefined) throw new SyntaxError(`Cannot read the value "${text}"`);
    return known;
  });
  return terms.slice(1).reduce((value, shift) => value << shift, terms[0] ?? 0n);
}

function readEnumerators(text: string): Map<string, Enumerator> {
  const values = new Map<string, bigint>();
  for (const define of text.matchAll(/^#define (\w+) (\d+)$/gm))
    values.set(define[1] ?? "", BigInt(define[2] ?? ""));
  const found = new Map<string, Enumerator>();
  const forms = [
    /NS_(?:ENUM|OPTIONS)\((?<underlying>\w+), (?<type>\w+)\) \{(?<body>[^}]*)\}/g,
    /\benum (?<type>\w+)? ?: (?<underlying>\w+) \{(?<body>[^}]*)\}/g,
  ];
  for (const form of forms) {
    for (const { groups } of text.matchAll(form)) {
      // `enum : NSStringEncoding` names the type that its constants have.
      const aliased = new RegExp(`typedef (\\w+) ${groups?.underlying};`).exec(text);
      const type = groups?.type ?? (aliased ? groups?.underlying : undefined) ?? "(anonymous)";
      const underlying = aliased?.[1]?.startsWith("NS") ? aliased[1] : (groups?.underlying ?? "");
      for (const item of (groups?.body ?? "").split(",")) {
        const [name, expression] = item.split("=").map((part) => part.trim());
        if (!name) continue;
        if (!expression) throw new SyntaxError(`"${name}" has no value of its own`);
        const value = enumeratorValue(expression, values);
        values.set(name, value);
        found.set(name, { type, underlying, value });
      }
    }
  }
  return found;
}

const sizes: Readonly<Record<string, number>> = { NSUInteger: 8, uint64_t: 8, uint32_t: 4 };

function readStructs(text: string): Map<string, Struct> {
  const found = new Map<string, Struct>();
  for (const match of text.matchAll(/typedef struct \w* ?\{([^}]*)\} (\w+);/g)) {
    const fields: string[] = [];
    let size = 0;
    for (const line of (match[1] ?? "").split(";")) {
      const parts = /^\s*(\w+) ([\w, [\]]+?)\s*$/.exec(line);
      if (!parts) continue;
      const each = sizes[parts[1] ?? ""] ?? found.get(parts[1] ?? "")?.size ?? Number.NaN;
      for (const name of (parts[2] ?? "").split(",")) {
        fields.push(`${parts[1]} ${name.trim()}`);
        size += each * Number(/\[(\d+)\]/.exec(name)?.[1] ?? 1);
      }
    }
    found.set(match[2] ?? "", { size, fields: fields.join(", ") });
  }
  return found;
}

function readProperty(text: string, members: Map<string, Member>): void {
  const match = /^@property ?(?:\(([^)]*)\))? (.*?)(\w+)(?: API_AVAILABLE.*)?$/.exec(text);
  if (!match) throw new SyntaxError(`Cannot read "${text}"`);
  const [, attributes = "", type = "", name = ""] = match;
  const since = sinceOf(text);
  const getter = /getter=(\w+)/.exec(attributes)?.[1] ?? name;
  members.set(getter, { kind: "property", returns: typeOf(type), arguments: [], since });
  if (/\breadonly\b/.test(attributes)) return;
  const setter = `set${name.slice(0, 1).toUpperCase()}${name.slice(1)}:`;
  members.set(setter, { kind: "property", returns: "void", arguments: [typeOf(type)], since });
}

/** Text between the parenthesis at `open` and its partner. */
function parenthesized(text: string, open: number): string {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === "(") depth++;
    if (text[at] === ")" && --depth === 0) return text.slice(open + 1, at);
  }
  throw new SyntaxError(`A parenthesis of "${text}" is not closed`);
}

function readMethod(text: string, members: Map<string, Member>): void {
  const since = sinceOf(text);
  const plain = text.replace(availability, "").replace(/NS_FORMAT_FUNCTION\(.*?\)/, "");
  const returns = parenthesized(plain, plain.indexOf("("));
  let rest = plain.slice(plain.indexOf("(") + returns.length + 2);
  const types: string[] = [];
  let selector = "";
  for (let colon = rest.indexOf(":"); colon >= 0; colon = rest.indexOf(":")) {
    selector += `${rest.slice(0, colon).trim().split(" ").at(-1)}:`;
    const type = parenthesized(rest, colon + 1);
    types.push(typeOf(type));
    rest = rest.slice(colon + type.length + 3).replace(/^\s*\w+/, "");
  }
  if (selector === "") selector = rest.trim();
  members.set(text.startsWith("+") ? `+${selector}` : selector, {
    kind: "method",
    returns: typeOf(returns),
    arguments: types,
    since,
  });
}

function readMembers(body: string): Map<string, Member> {
  const members = new Map<string, Member>();
  for (const part of body.split(";")) {
    const text = part.replace(/\s+/g, " ").trim();
    if (text.startsWith("@property")) readProperty(text, members);
    else if (text.startsWith("-") || text.startsWith("+")) readMethod(text, members);
    else if (text !== "") throw new SyntaxError(`Cannot read "${text}"`);
  }
  return members;
}

function readOwners(text: string): Map<string, Owner> {
  const found = new Map<string, Owner>();
  const forms = [
    /(?<before>API_AVAILABLE\(.*?\)\) ?)?@(?<kind>protocol) (?<name>\w+)(?: <(?<inherits>\w+)[^>]*>)?\n(?<body>(?:(?!@end)[\s\S])*)@end/g,
    /(?<before>API_AVAILABLE\(.*?\)\) ?)?(?:__attribute__\(.*?\)\) )?@(?<kind>interface) (?<name>\w+)(?:<[^>]*>)?\s*(?::\s*(?<inherits>\w+)(?:<[^>]*>)?)?(?: ?<[^>]*>)?(?: \{[\s\S]*?\n\})?\n(?<body>(?:(?!@end)[\s\S])*)@end/g,
  ];
  for (const form of forms) {
    for (const { groups } of text.matchAll(form)) {
      found.set(groups?.name ?? "", {
        kind: groups?.kind === "protocol" ? "protocol" : "class",
        inherits: groups?.inherits ?? "",
        since: sinceOf(groups?.before ?? ""),
        members: readMembers(groups?.body ?? ""),
      });
    }
  }
  return found;
}

/** Reads the text of headers, one after the other. */
export function readHeaders(headers: string): Declarations {
  const text = headers.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  const functions = new Map<string, Since>();
  for (const match of text.matchAll(/^extern [^;]*?\b(MTL\w+)\([^;]*;/gm))
    functions.set(match[1] ?? "", sinceOf(match[0]));
  const constants = new Map<string, Since>();
  for (const match of text.matchAll(/^extern NSErrorDomain const (\w+)[^;]*;/gm))
    if (match[1]?.startsWith("MTL")) constants.set(match[1], sinceOf(match[0]));
  for (const name of constants.keys()) functions.delete(name);
  return {
    enumerators: readEnumerators(text),
    structs: readStructs(text),
    owners: readOwners(text),
    functions,
    constants,
  };
}
