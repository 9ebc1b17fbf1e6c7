/** On what a run was made. */
import { readFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";

export type Machine = {
  readonly processor: string;
  readonly processors: number;
  readonly memoryBytes: number;
  readonly system: string;
  /** Of its instructions, those that decide how fast products are. */
  readonly instructions: readonly string[];
};

const root = join(import.meta.dirname, "../..");
const telling = [
  "avx2",
  "f16c",
  "avx512f",
  "avx512bw",
  "avx512_vnni",
  "avx512_bf16",
  "avx_vnni",
  "amx_int8",
  "amx_bf16",
  "asimddp",
  "i8mm",
  "sve",
];

export function describeMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? "unknown",
    processors: cpus().length,
    memoryBytes: totalmem(),
    system: `${platform()} ${arch()}`,
    instructions: instructions(),
  };
}

function instructions(): string[] {
  try {
    const line = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "latin1"));
    const words = new Set((line?.[1] ?? "").split(/\s+/));
    return telling.filter((name) => words.has(name));
  } catch {
    return [];
  }
}

/** The commit that is measured, with a mark if files were changed since. A packed tree has it in build/commit.txt. */
export function describeCommit(): string {
  const git = (...words: string[]): string | undefined => {
    const { success, stdout } = Bun.spawnSync(["git", "-C", root, ...words], { stderr: "ignore" });
    return success ? stdout.toString().trim() : undefined;
  };
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (commit === undefined) {
    try {
      return readFileSync(join(root, "build/commit.txt"), "utf8").trim();
    } catch {
      return "unknown";
    }
  }
  const changed = git("status", "--porcelain", "--", ".", ":(exclude)test/bench/results");
  return changed === "" ? commit : `${commit} with changes`;
}
