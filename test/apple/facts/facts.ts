// Apple's declarations as this repository knows them, from tables, and what headers get wrong about them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Declarations, Member, Since } from "./headers.ts";

/** Rows of a table: fields between tabs, `#` begins a comment. */
export function readTable(name: string): string[][] {
  const lines = readFileSync(join(import.meta.dirname, name), "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.split("\t"));
}

interface Fact {
  readonly kind: string;
  readonly returns: string;
  readonly arguments: readonly string[];
  readonly owned: string;
  readonly isDeclared: boolean;
  readonly since: Since;
}

/** What the oldest supported systems (macOS 13, iOS 15) have needs no mark; the rest must have the right one. */
function isNew(since: Since): boolean {
  const [macos, ios] = since.split("/").map(Number);
  return macos !== undefined && ios !== undefined && (macos > 13 || ios > 15);
}

function checkSince(name: string, declared: Since, fact: Since, problems: string[]): void {
  const unmarked = declared === "-" && !isNew(fact);
  if (!unmarked && declared !== fact)
    problems.push(`${name} is available since "${declared}", not "${fact}"`);
}

/** The convention that clang and people go by: alloc, new, copy, mutableCopy and init own their result. */
function ownedBySelector(selector: string, returns: string): string {
  return /^(alloc|new|copy|mutableCopy|init)(?![a-z])/.test(selector) && returns !== "void" ? "+1" : "+0";
}

/** Facts of all members, by owner and selector; a writable property is its two accessors. */
function readMemberFacts(): Map<string, Map<string, Fact>> {
  const owners = new Map<string, Map<string, Fact>>();
  for (const [
    owner = "",
    kind = "",
    selector = "",
    returns = "",
    types = "",
    owned = "",
    declared = "",
    since = "-",
  ] of readTable("members.tsv")) {
    const facts = owners.get(owner) ?? new Map<string, Fact>();
    owners.set(owner, facts);
    const shared = { kind, owned, isDeclared: declared === "yes", since };
    facts.set(selector, {
      ...shared,
      returns,
      arguments: types === "-" && !selector.includes(":") ? [] : types.split(";"),
    });
    if (kind !== "read-write") continue;
    const setter = `set${selector.slice(0, 1).toUpperCase()}${selector.slice(1)}:`;
    facts.set(setter, { ...shared, returns: "void", arguments: [returns] });
  }
  return owners;
}

function checkMember(name: string, selector: string, member: Member, fact: Fact, problems: string[]): void {
  if (member.returns !== fact.returns)
    problems.push(`${name} returns "${member.returns}", not "${fact.returns}"`);
  const types = member.arguments.map((type, i) => (fact.arguments[i] === "-" ? "-" : type));
  if (types.join(";") !== fact.arguments.join(";"))
    problems.push(`${name} takes "${types.join(";")}", not "${fact.arguments.join(";")}"`);
  if (fact.owned !== ownedBySelector(selector, fact.returns))
    problems.push(`${name} is ${fact.owned} against its name`);
  checkSince(name, member.since, fact.since, problems);
}

function checkEnumerators(declared: Declarations, problems: string[]): void {
  const facts = new Map<string, string>();
  const types = new Set<string>();
  for (const enumerator of declared.enumerators.values()) types.add(enumerator.type);
  for (const [type = "", underlying = "", name = "", value = ""] of readTable("constants.tsv")) {
    facts.set(name, `${type} ${underlying} ${value}`);
    if (types.has(type) && !declared.enumerators.has(name))
      problems.push(`${name} of ${type} is not declared`);
  }
  for (const [name, { type, underlying, value }] of declared.enumerators) {
    const fact = facts.get(name);
    if (fact === undefined) problems.push(`${name} is not among the facts`);
    else if (fact !== `${type} ${underlying} ${value}`)
      problems.push(`${name} is "${type} ${underlying} ${value}", not "${fact}"`);
  }
}

function checkStructs(declared: Declarations, problems: string[]): void {
  const facts = new Map(
    readTable("structs.tsv").map(([name = "", size, fields]) => [name, `${size}: ${fields}`]),
  );
  for (const [name, { size, fields }] of declared.structs) {
    const fact = facts.get(name);
    if (fact === undefined) problems.push(`struct ${name} is not among the facts`);
    else if (fact !== `${size}: ${fields}`)
      problems.push(`struct ${name} is "${size}: ${fields}", not "${fact}"`);
  }
}

function checkOwners(declared: Declarations, problems: string[]): void {
  const members = readMemberFacts();
  const protocols = new Map(
    readTable("protocols.tsv").map(([name = "", inherits, since]) => [name, { inherits, since }]),
  );
  const classes = new Map(
    readTable("symbols.tsv").flatMap(([kind, name = "", , since = "-"]) =>
      kind === "class" ? [[name, since] as const] : [],
    ),
  );
  for (const [name, owner] of declared.owners) {
    const protocol = protocols.get(name);
    const since = owner.kind === "class" ? classes.get(name) : protocol?.since;
    if (since === undefined) problems.push(`${owner.kind} ${name} is not among the facts`);
    else if (owner.since !== "-" || owner.kind === "class") checkSince(name, owner.since, since, problems);
    if (protocol && protocol.inherits !== owner.inherits)
      problems.push(`${name} inherits "${owner.inherits}", not "${protocol.inherits}"`);
    const facts = members.get(name) ?? new Map<string, Fact>();
    for (const [selector, member] of owner.members) {
      const fact = facts.get(selector);
      // Of Foundation the facts have what a bridge needs, and our headers some more.
      if (!fact && name.startsWith("MTL")) problems.push(`${name} ${selector} is not among the facts`);
      if (fact) checkMember(`${name} ${selector}`, selector, member, fact, problems);
    }
    for (const [selector, fact] of facts)
      if (fact.isDeclared !== owner.members.has(selector))
        problems.push(
          `${name} ${selector} is ${fact.isDeclared ? "not declared" : "declared, which the facts do not say"}`,
        );
  }
  for (const name of [...members.keys(), ...protocols.keys()])
    if (!declared.owners.has(name)) problems.push(`${name} is not declared`);
}

function checkSymbols(declared: Declarations, problems: string[]): void {
  for (const [kind, symbols] of [
    ["function", declared.functions],
    ["constant", declared.constants],
  ] as const) {
    const facts = new Map(
      readTable("symbols.tsv").flatMap(([of, name = "", , since = "-"]) =>
        of === kind ? [[name, since] as const] : [],
      ),
    );
    for (const [name, since] of symbols) {
      const fact = facts.get(name);
      if (fact === undefined) problems.push(`${kind} ${name} is not among the facts`);
      else checkSince(name, since, fact, problems);
    }
  }
}

/** Everything in which headers differ from Apple's, as lines to read; none where they are right. */
export function compareWithFacts(declared: Declarations): string[] {
  const problems: string[] = [];
  checkEnumerators(declared, problems);
  checkStructs(declared, problems);
  checkOwners(declared, problems);
  checkSymbols(declared, problems);
  return problems;
}
