/** Programs as processes of their own, in the runtime that the tests run in: Bun, or Deno with few permissions. */
import { type ChildProcess, spawn } from "node:child_process";

/** How a process ended, and what it wrote. */
export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** How to start a process. */
export type StartOptions = {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly environment?: Readonly<Record<string, string>>;
};

/** Whether the tests run in Deno. */
export const runsDeno: boolean = "deno" in process.versions;

/** What Deno is told to allow: no more than a program of the package needs. */
export const permissions: readonly string[] = ["--allow-ffi", "--allow-read"];

/** The command that runs a TypeScript file. */
export function commandOf(
  file: string,
  args: readonly string[] = [],
  allowed: readonly string[] = permissions,
): string[] {
  const flags = runsDeno ? ["--no-prompt", "--no-check", ...allowed] : [];
  return [process.execPath, "run", ...flags, file, ...args];
}

/** The command that runs a script, an ES module with absolute imports; the collector can be called, see `collectGarbage`. */
export function scriptCommand(script: string): string[] {
  const flags = runsDeno ? ["eval", "--v8-flags=--expose-gc"] : ["-e"];
  return [process.execPath, ...flags, script];
}

/** Starts a command. Its output is there to read, its input is empty. */
export function start(command: readonly string[], options: StartOptions = {}): ChildProcess {
  const [program, ...args] = command;
  return spawn(program, args, {
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
    // Deno colours its own messages for nobody.
    env: { ...process.env, NO_COLOR: "1", ...options.environment },
  });
}

/** Waits for a process that was started, and reads all that it writes from now on. */
export function finish(child: ChildProcess): Promise<Finished> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Runs a command to its end. */
export function run(command: readonly string[], options: StartOptions = {}): Promise<Finished> {
  return finish(start(command, options));
}

/** Sends what Ctrl-C sends. To `ChildProcess.kill` in Deno, a process that answers a signal with an exit code died of it. */
export function interrupt(child: ChildProcess): void {
  if (child.pid !== undefined) process.kill(child.pid, "SIGINT");
}
