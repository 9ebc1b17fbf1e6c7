/**
 * Jinja for templates from strangers' files. A template is a program; it gets no more than the values it is given, which
 * `@huggingface/jinja` keeps in maps, away from JavaScript's objects and their prototypes. Here it is also bounded: in its
 * length, in the work that it does and in the size of what it makes, so that a file can make chat fail, but not hang or
 * take the memory away.
 */
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";

/** Most characters of a template. The longest of known models have a fifth of that. */
const MOST_CHARACTERS = 128 * 1024;
/** Longest run of white space: the lexer looks for some tags in quadratic time there. */
const LONGEST_SPACE = 1024;
/** Most units of work: one for each part of the template each time it is evaluated, and some for the size of its value. */
const MOST_WORK = 2_000_000;
/** Units for each time around a loop. */
const LOOP_WORK = 10;
/** Parts of the template that are evaluated within others, those of macros that are called included. */
const DEEPEST = 500;
/** Most characters and elements of one value. */
const LARGEST_VALUE = 4_000_000;
/** Most elements that `range` gives. */
const LONGEST_RANGE = 10_000;
/** Largest arguments of what multiplies its text: `replace`, `indent`, `join` and other filters. */
const LARGEST_ARGUMENT = 100;

/** A chat template that cannot be read or applied, or refuses the messages. */
export class ChatTemplateError extends Error {
  override readonly name = "ChatTemplateError";
}

type Node = Exclude<Parameters<Interpreter["evaluate"]>[0], undefined>;
type Value = ReturnType<Interpreter["evaluate"]>;

/** A template that has been read. */
export class BoundedTemplate {
  readonly #program: ReturnType<typeof parse>;
  readonly #rules: Rules;

  /** @throws {ChatTemplateError} If it is no Jinja, or uses what is not allowed. */
  constructor(source: string) {
    if (source.length > MOST_CHARACTERS)
      fail(`it has ${source.length} characters, and ${MOST_CHARACTERS} are allowed`);
    if (new RegExp(`\\s{${LONGEST_SPACE}}`).test(source))
      fail(`it has a run of ${LONGEST_SPACE} or more characters of white space`);
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
      this.#rules = rulesOf(this.#program);
    } catch (error) {
      throw wrapped(error);
    }
  }

  /** @throws {ChatTemplateError} If it fails, or takes more than it may. */
  render(variables: Readonly<Record<string, unknown>>, now: Date): string {
    try {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...constants, ...functions(now), ...variables }))
        environment.set(name, value);
      return String(new BoundedInterpreter(environment, this.#rules).run(this.#program).value);
    } catch (error) {
      throw wrapped(error);
    }
  }
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };

function functions(now: Date): Record<string, (...values: never[]) => unknown> {
  return {
    raise_exception: (reason: unknown) => fail(`it says ${JSON.stringify(String(reason).slice(0, 200))}`),
    strftime_now: (format: unknown) => formatTime(String(format), now),
    range: boundedRange,
  };
}

function boundedRange(first: unknown, second?: unknown, by: unknown = 1): number[] {
  const [start, stop] = second === undefined ? [0, Number(first)] : [Number(first), Number(second)];
  const step = Number(by);
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= LONGEST_RANGE)) fail(`it asks for a range of ${length}, and ${LONGEST_RANGE} are allowed`);
  return Array.from({ length }, (_, i) => start + i * step);
}

const months = "January February March April May June July August September October November December".split(
  " ",
);

/** Python's strftime, as far as templates use it, always in English. */
function formatTime(format: string, now: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  const month = months[now.getMonth()] ?? "";
  const fields: Readonly<Record<string, string>> = {
    Y: String(now.getFullYear()),
    m: two(now.getMonth() + 1),
    d: two(now.getDate()),
    B: month,
    b: month.slice(0, 3),
    H: two(now.getHours()),
    M: two(now.getMinutes()),
    S: two(now.getSeconds()),
    "%": "%",
  };
  return format.replace(/%(.)/g, (all, letter: string) => fields[letter] ?? all);
}

/** Parts of a template that are watched. */
interface Rules {
  /** Values of these stay below `LARGEST_ARGUMENT`. */
  readonly small: ReadonlySet<unknown>;
  /** Members that are called where they stand. */
  readonly called: ReadonlySet<unknown>;
  /** What is looped over. */
  readonly looped: ReadonlySet<unknown>;
}

/** A node of any kind, by the fields that the rules ask for. */
interface AnyNode {
  readonly type?: unknown;
  readonly args?: unknown;
  readonly callee?: AnyNode;
  readonly computed?: unknown;
  readonly filter?: AnyNode;
  readonly iterable?: unknown;
  readonly property?: AnyNode;
  readonly value?: unknown;
}

function rulesOf(program: unknown): Rules {
  const small = new Set<unknown>();
  const called = new Set<unknown>();
  const looped = new Set<unknown>();
  const bound = (args: unknown): void => {
    for (const argument of args as readonly AnyNode[]) {
      if (argument.type === "SpreadExpression" || argument.type === "KeywordSpreadExpression")
        fail("it spreads the arguments of a filter or of replace()");
      small.add(argument.type === "KeywordArgumentExpression" ? argument.value : argument);
    }
  };
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const item of node) visit(item);
    else if (node instanceof Map) for (const entry of node) visit(entry);
    else if (typeof node === "object" && node !== null) {
      const { type, args, callee, filter, iterable } = node as AnyNode;
      if (type === "For") looped.add(iterable);
      if (type === "CallExpression" && callee?.type === "MemberExpression") {
        if (callee.computed) fail("it calls a member by an expression instead of its name");
        called.add(callee);
        if (callee.property?.value === "replace") bound(args);
      }
      const isFilter = type === "FilterExpression" || type === "FilterStatement";
      if (isFilter && filter?.type === "CallExpression" && filter.callee?.value !== "default")
        bound(filter.args);
      for (const child of Object.values(node)) visit(child);
    }
  };
  visit(program);
  return { small, called, looped };
}

/** Counts what it does, and stops where that is too much. */
class BoundedInterpreter extends Interpreter {
  readonly #rules: Rules;
  #work = 0;
  #depth = 0;
  /** Sizes of lists and maps, which do not change once they are made. */
  readonly #sizes: WeakMap<object, number> = new WeakMap<object, number>();

  constructor(environment: Environment, rules: Rules) {
    super(environment);
    this.#rules = rules;
  }

  override evaluate(node: Node | undefined, environment: Environment): Value {
    this.#spend(1);
    if (++this.#depth > DEEPEST) fail(`more than ${DEEPEST} of its parts are within each other`);
    let value: Value;
    try {
      value = super.evaluate(node, environment);
    } finally {
      // Also where a loop is left or goes on, which this interpreter does by exceptions.
      this.#depth--;
    }
    const size = this.#sizeOf(value);
    if (size > LARGEST_VALUE) fail(`it makes a value of ${size} parts, and ${LARGEST_VALUE} are allowed`);
    this.#spend(size / 64);
    if (this.#rules.looped.has(node))
      this.#spend(LOOP_WORK * (Array.isArray(value.value) ? value.value.length : size));
    if (this.#rules.small.has(node)) {
      const most = typeof value.value === "number" ? Math.abs(value.value) : size - 1;
      if (most > LARGEST_ARGUMENT)
        fail(`it gives a filter or replace() an argument of ${most}, and ${LARGEST_ARGUMENT} is allowed`);
    }
    if (value.type === "FunctionValue" && node?.type === "MemberExpression" && !this.#rules.called.has(node))
      fail("it keeps a member function instead of calling it");
    return value;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work > MOST_WORK) fail(`it does more than ${MOST_WORK} steps of work`);
  }

  /** Characters and elements of a value, those inside of it counted wherever they are. */
  #sizeOf(value: Value): number {
    const content: unknown = value.value;
    if (typeof content === "string") return content.length + 1;
    if (typeof content !== "object" || content === null) return 1;
    const isNamespace = value.type === "NamespaceValue";
    const known = isNamespace ? undefined : this.#sizes.get(content);
    if (known !== undefined) return known;
    let size = 1;
    for (const child of (content as ReadonlyMap<string, Value> | readonly Value[]).values()) {
      // Namespaces do change, so that something could come to hold itself.
      if (child.type === "NamespaceValue") fail("it puts a namespace into another value");
      size += this.#sizeOf(child);
      this.#spend(1 / 64);
    }
    if (content instanceof Map) for (const key of content.keys()) size += String(key).length;
    if (!isNamespace) this.#sizes.set(content, size);
    return size;
  }
}

function fail(reason: string): never {
  throw new ChatTemplateError(`Cannot apply the chat template: ${reason}`);
}

function wrapped(error: unknown): ChatTemplateError {
  if (error instanceof ChatTemplateError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new ChatTemplateError(`Cannot apply the chat template: ${reason.slice(0, 300)}`, { cause: error });
}
