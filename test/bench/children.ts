/** The processes of a run: each one ends with it, whatever ends it. */

/** The status of a program that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** A run was ended before its time, by Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** A process ended badly. */
export class ChildError extends Error {
  override readonly name = "ChildError";
}

/** A process that answers: for each line that it is given it prints one. */
export type Conversation = AsyncDisposable & {
  /** @throws {ChildError} If it ends instead, or takes longer than `seconds` */
  ask(line: string, seconds: number): Promise<string>;
};

/** Starts processes and ends them: those that run when it is interrupted or disposed of are killed. */
export class Children implements AsyncDisposable {
  readonly #running = new Set<Bun.Subprocess>();
  readonly #onSignal = (): void => this.interrupt();
  #interrupted = false;

  constructor() {
    process.on("SIGINT", this.#onSignal);
    process.on("SIGTERM", this.#onSignal);
  }

  interrupt(): void {
    this.#interrupted = true;
    for (const child of this.#running) child.kill("SIGKILL");
  }

  /** @throws {Interrupted} If the run was */
  check(): void {
    if (this.#interrupted) throw new Interrupted("The run was interrupted");
  }

  /** Starts a process that runs until it is disposed of. */
  start(command: readonly string[]): AsyncDisposable {
    this.check();
    return this.#untilDisposed(
      Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "inherit" }),
    );
  }

  /** Starts a process that answers until it is disposed of. */
  converse(
    name: string,
    command: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Conversation {
    this.check();
    const child = Bun.spawn([...command], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, ...environment },
    });
    const lines = linesOf(child.stdout);
    return {
      ...this.#untilDisposed(child),
      ask: async (line, seconds) => {
        child.stdin.write(`${line}\n`);
        child.stdin.flush();
        const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1e3);
        const answer = await lines.next();
        clearTimeout(timer);
        this.check();
        if (!answer.done) return answer.value;
        await child.exited;
        throw new ChildError(`${name} ended with ${endOf(child)} before it answered`);
      },
    };
  }

  #untilDisposed(child: Bun.Subprocess): AsyncDisposable {
    this.#running.add(child);
    return {
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await child.exited;
        this.#running.delete(child);
      },
    };
  }

  /**
   * Runs a process to its end.
   *
   * @param onLine Called with each line that it prints but the last, as it comes
   * @returns The last line of what it printed, as JSON
   * @throws {Interrupted} If the run was meanwhile
   * @throws {ChildError} If it failed, or took longer than `seconds`
   */
  async run(
    name: string,
    command: readonly string[],
    seconds: number,
    environment: Readonly<Record<string, string>> = {},
    onLine: (line: string) => void = () => {},
  ): Promise<unknown> {
    this.check();
    const child = Bun.spawn([...command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...environment },
    });
    this.#running.add(child);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, seconds * 1e3);
    try {
      const [last, errors] = await Promise.all([
        lastLine(child.stdout, onLine),
        new Response(child.stderr).text(),
      ]);
      const status = await child.exited;
      // A terminal's Ctrl-C goes to the processes themselves, too, and may reach them first.
      if (child.signalCode === "SIGINT") this.interrupt();
      this.check();
      if (late) throw new ChildError(`${name} took longer than ${seconds.toFixed(0)} s and was ended`);
      if (status !== 0) throw new ChildError(`${name} ended with ${endOf(child)}\n${errors.trimEnd()}`);
      return parseLine(name, last);
    } finally {
      clearTimeout(timer);
      this.#running.delete(child);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("SIGINT", this.#onSignal);
    process.off("SIGTERM", this.#onSignal);
    const running = [...this.#running];
    for (const child of running) child.kill("SIGKILL");
    await Promise.all(running.map((child) => child.exited));
  }
}

function endOf({ signalCode, exitCode }: Bun.Subprocess): string {
  return signalCode === null ? `status ${exitCode}` : String(signalCode);
}

/** Whole lines: what was begun when a process was ended is none. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
}

/** The last line that is not blank. Those before it are told of, each when the next one is there. */
async function lastLine(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<string> {
  let last: string | undefined;
  for await (const line of linesOf(stream)) {
    if (line.trim() === "") continue;
    if (last !== undefined) onLine(last);
    last = line;
  }
  return last ?? "";
}

function parseLine(name: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new ChildError(`${name} ended well, but its last line is no JSON: "${line}"`);
  }
}
