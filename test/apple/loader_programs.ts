/** The programs of `make loader-tests` and `make loader-tests-arm64`: how tests run them. */
import { basename, join, normalize } from "node:path";

export const root: string = normalize(join(import.meta.dir, "../.."));

/** The dylib that ships. */
export const dylib: string = join(root, "dist/darwin/bun-metal.dylib");

/** Programs that run a test of the C ABI, as `bridge_object`. */
export const bridgePrograms: readonly string[] = ["test/native", "test/apple/loader"].flatMap((directory) =>
  [...new Bun.Glob("bridge_*_test.{c,m}").scanSync(join(root, directory))]
    .map((source) => basename(source).replace(/_test\..$/, ""))
    .sort(),
);

export interface Outcome {
  readonly status: number | null;
  readonly signal: string | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a command to its end, at most five minutes: under QEMU, and beside other tests, some take long. */
export async function run(command: readonly string[], input: string = ""): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 300_000,
    killSignal: "SIGKILL",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return {
    status: child.exitCode,
    signal: child.signalCode === null ? null : String(child.signalCode),
    output,
    errors,
  };
}

/** What a test shows of a run that failed. */
export function failuresOf({ output, errors }: Outcome): string {
  return [...output.split("\n").filter((line) => !line.startsWith("ok ")), errors].join("\n");
}
