/**
 * bun:test as far as the tests of this repository use it, over Deno.test and the `expect` of Jest, which Bun's is made
 * after. The import map in deno.json gives it to tests in place of bun:test.
 */
import { format, inspect } from "node:util";
import { expect as jestExpect, type Matchers } from "expect";

type Action = () => unknown;
type DenoTest = (definition: {
  readonly name: string;
  readonly fn: () => Promise<void>;
  readonly sanitizeOps: false;
  readonly sanitizeResources: false;
}) => void;
const { test: denoTest } = (globalThis as unknown as { readonly Deno: { readonly test: DenoTest } }).Deno;

/** A file, or a `describe` in it. */
class Scope {
  readonly path: readonly Scope[];
  readonly name: string;
  readonly beforeAll: Action[] = [];
  readonly beforeEach: Action[] = [];
  readonly afterEach: Action[] = [];
  readonly afterAll: Action[] = [];
  /** Tests in it, and in the scopes inside, that have not run. */
  remaining = 0;
  #ready: Promise<void> | undefined;

  constructor(name: string, parent?: Scope) {
    this.name = name;
    this.path = [...(parent?.path ?? []), this];
  }

  /** Runs what comes before its first test. Where that fails, it fails for each of them. */
  prepare(): Promise<void> {
    this.#ready ??= inOrder(this.beforeAll);
    return this.#ready;
  }
}

async function inOrder(actions: readonly Action[]): Promise<void> {
  for (const action of actions) await action();
}

/** The scope that the calls below add to. Deno runs each test file in a world of its own, so this is the file's. */
let current = new Scope("");

export function describe(name: string, body: () => void): void {
  const outer = current;
  current = new Scope(name, outer);
  body();
  current = outer;
}

export const beforeAll = (action: Action): unknown => current.beforeAll.push(action);
export const beforeEach = (action: Action): unknown => current.beforeEach.push(action);
export const afterEach = (action: Action): unknown => current.afterEach.push(action);
export const afterAll = (action: Action): unknown => current.afterAll.push(action);

/** Nothing: Deno's tests have no time limit of their own. */
export function setDefaultTimeout(_milliseconds: number): void {}

interface Test {
  /** As in Bun, a third argument may limit the test's time, which Deno does not. */
  (name: string, body: Action, milliseconds?: number): void;
  /** Registers a test for each row; a row that is an array is spread. `%s`, `%d` and `%p` in the name stand for its values. */
  each<Row>(rows: readonly Row[]): (name: string, body: (...values: readonly unknown[]) => unknown) => void;
}

export const test: Test = Object.assign(register, { each: registerEach });

function register(name: string, body: Action): void {
  const { path } = current;
  for (const scope of path) scope.remaining++;
  denoTest({
    name: [...path.slice(1).map((scope) => scope.name), name].join(" > "),
    fn: () => runInside(path, body),
    // Devices and queues of a file live longer than one of its tests.
    sanitizeOps: false,
    sanitizeResources: false,
  });
}

function registerEach<Row>(rows: readonly Row[]): ReturnType<Test["each"]> {
  return (name, body) => {
    for (const row of rows) {
      const values: readonly unknown[] = Array.isArray(row) ? row : [row];
      let next = 0;
      const filled = name.replace(/%([sdp])/g, (_, kind: string) => {
        const value = values[next++];
        return kind === "p" ? inspect(value) : format(`%${kind}`, value);
      });
      register(filled, () => body(...values));
    }
  };
}

async function runInside(path: readonly Scope[], body: Action): Promise<void> {
  const inward = path.toReversed();
  try {
    for (const scope of path) await scope.prepare();
    for (const scope of path) await inOrder(scope.beforeEach);
    await body();
  } finally {
    for (const scope of inward) await inOrder(scope.afterEach);
    for (const scope of inward) if (--scope.remaining === 0) await inOrder(scope.afterAll);
  }
}

jestExpect.extend({
  toStartWith: (text: string, start: string) => ({
    pass: text.startsWith(start),
    message: () => `expected ${inspect(text)} to start with ${inspect(start)}`,
  }),
  toEndWith: (text: string, end: string) => ({
    pass: text.endsWith(end),
    message: () => `expected ${inspect(text)} to end with ${inspect(end)}`,
  }),
});

/** As in Bun, a second argument says what a failure is about. */
function expectAbout<T>(actual: T, subject?: string): Matchers<void, T> {
  const matchers = jestExpect(actual);
  return subject === undefined ? matchers : withSubject(matchers, subject);
}

function withSubject<M extends object>(matchers: M, subject: string): M {
  return new Proxy(matchers, {
    get(target, name): unknown {
      const member: unknown = Reflect.get(target, name);
      if (typeof member === "object" && member !== null) return withSubject(member, subject);
      if (typeof member !== "function") return member;
      return (...args: readonly unknown[]): unknown => {
        try {
          return member.apply(target, args);
        } catch (error) {
          if (error instanceof Error) error.message = `${subject}\n${error.message}`;
          throw error;
        }
      };
    },
  });
}

export const expect: typeof expectAbout & typeof jestExpect = Object.assign(expectAbout, jestExpect);
