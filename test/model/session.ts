/** Drives test/model/generate.c: a process that runs models without JavaScript, one command a line. */
import { existsSync } from "node:fs";
import { join, normalize } from "node:path";

const root = normalize(join(import.meta.dir, "../.."));
const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch;
const built = join(root, `build/${process.platform}-${machine}`);
const program = join(built, "generate");

/** The C program of docs/embedding.md. It opens "app.bmplan" of the directory that it runs in. */
export const embedding: string = join(built, "embedding");

/** BM_MODEL_END and BM_MODEL_FULL of bridge/bun_metal.h. */
export const END = 256;
export const FULL = 257;
export const NO_TOKEN = 0xffffffff;

export type Failure = { readonly error: number; readonly message: string };

export type Live = Readonly<
  Record<"handles" | "models" | "objects" | "withoutPool" | "bytes" | "inFlight", number>
>;

/** What a number of bm_model_next calls gave. */
export type Generated = {
  readonly status: number;
  /** By call; NO_TOKEN where it made none. */
  readonly tokens: number[];
  readonly pieces: Uint8Array[];
  readonly text: string;
};

export class Session implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string>;

  /** @param environment What is set besides. */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    if (!existsSync(program)) throw new Error(`${program} is missing: make test-artifacts builds it`);
    const env = { ...process.env, ...environment };
    this.#process = Bun.spawn([program], { stdin: "pipe", stdout: "pipe", stderr: "inherit", env });
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Sends a command and returns what it answers. @throws {Error} if the process has died */
  async ask(command: string): Promise<Record<string, unknown>> {
    this.#process.stdin.write(`${command}\n`);
    this.#process.stdin.flush();
    const line = await this.#lines.next();
    if (line.done)
      throw new Error(`The process died (${await this.#process.exited}) at: ${command.slice(0, 200)}`);
    return JSON.parse(line.value);
  }

  /** The same, for commands that have to succeed. */
  async expect(command: string): Promise<Record<string, unknown>> {
    const answer = await this.ask(command);
    if ("error" in answer) throw new Error(`${command.slice(0, 100)}: ${answer.message}`);
    return answer;
  }

  async open(directory: string, plan: string): Promise<number> {
    return Number((await this.expect(`open ${directory} ${plan}`)).model);
  }

  /** The message of the failure to open. */
  async refusal(directory: string, plan: string): Promise<Failure | undefined> {
    const answer = await this.ask(`open ${directory} ${plan}`);
    return "error" in answer ? (answer as Failure) : undefined;
  }

  async tokenize(text: string, flags = 0): Promise<number[]> {
    return (await this.expect(`tokenize ${flags} ${hex(text)}`)).tokens as number[];
  }

  async prompt(text: string, flags = 0): Promise<void> {
    await this.expect(`prompt ${flags} ${hex(text)}`);
  }

  /** Up to `count` calls. */
  async next(count: number, capacity = 4096): Promise<Generated> {
    const answer = await this.expect(`next ${count} ${capacity}`);
    const calls = answer.calls as [number, string][];
    const pieces = calls.map(([, text]) => Uint8Array.fromHex(text));
    return {
      status: Number(answer.status),
      tokens: calls.map(([token]) => token),
      pieces,
      text: Buffer.concat(pieces).toString("utf8"),
    };
  }

  async live(): Promise<Live> {
    return (await this.expect("live")) as Live;
  }

  /** The same, once there are no more objects than `most`, or after a while: threads of the device let go a little late. */
  async settled(most: number): Promise<Live> {
    let live = await this.live();
    for (let i = 0; i < 200 && live.objects > most; i++) {
      await Bun.sleep(5);
      live = await this.live();
    }
    return live;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    const status = await this.#process.exited;
    if (status !== 0) throw new Error(`generate ended with ${status}`);
  }
}

export function hex(text: string): string {
  return new TextEncoder().encode(text).toHex();
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
