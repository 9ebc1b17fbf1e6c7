// scripts/verify_mac.sh with stand-ins for the Mac's tools: its steps, its verdicts and what it sends back.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";

const script: string = normalize(join(import.meta.dir, "../../scripts/verify_mac.sh"));
const steps = ["system", "library", "pipelines", "tests", "validation", "pools", "leaks", "bench"];
let directory = "";

/** Puts a program on the script's PATH. */
function tool(name: string, body: string): void {
  const file = join(directory, "tools", name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "verify-mac-"));
  mkdirSync(join(directory, "tools"));
  mkdirSync(join(directory, "build/darwin-arm64"), { recursive: true });
  writeFileSync(join(directory, "build/darwin-arm64/libbun_metal.dylib"), "");
  tool("uname", '[ "$1" = -s ] && echo Darwin || echo arm64');
  for (const name of ["sw_vers", "sysctl", "clang", "git", "system_profiler", "xcodebuild"])
    tool(name, "true");
  for (const name of ["otool", "vtool", "codesign", "dyld_info", "leaks", "bun", "make"])
    tool(name, `echo "${name} $*"; env | grep -E '^(MTL|OBJC|BUN_METAL)' | sort`);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function run(...args: string[]): { status: number; output: string } {
  const environment = { PATH: `${join(directory, "tools")}:/usr/bin:/bin` };
  const child = Bun.spawnSync(["sh", script, ...args], { cwd: directory, env: environment });
  return { status: child.exitCode, output: `${child.stdout}${child.stderr}` };
}

function report(step: string): string {
  return readFileSync(join(directory, "build/verify-mac", `${step}.txt`), "utf8");
}

test("verify_mac.sh runs every step and packs what it saw", () => {
  const { status, output } = run();
  expect(status, output).toBe(0);
  for (const step of steps) expect(output).toMatch(new RegExp(`^${step} +ok$`, "m"));
  const packed = Bun.spawnSync(["tar", "-tzf", join(directory, "build/verify-mac.tar.gz")]).stdout.toString();
  for (const step of steps) expect(packed).toContain(`verify-mac/${step}.txt`);
});

test("verify_mac.sh turns Apple's checks on where they belong", () => {
  run();
  expect(report("validation")).toContain("MTL_DEBUG_LAYER=1");
  expect(report("validation")).toContain("MTL_SHADER_VALIDATION=1");
  expect(report("pools")).toContain("OBJC_DEBUG_MISSING_POOLS=YES");
  expect(report("tests")).not.toContain("MTL_");
  expect(report("leaks")).toContain("--atExit -- bun run examples/llama.ts");
  expect(report("library")).toContain("make dist-apple metallib");
  expect(report("library")).toContain("dyld_info -imports build/darwin-arm64/libbun_metal.dylib");
  expect(report("library")).toContain("codesign -vv dist/darwin/bun-metal.dylib");
});

test("verify_mac.sh fails, and goes on, where a step fails", () => {
  tool("codesign", "echo 'invalid signature'; exit 1");
  const { status, output } = run();
  expect(status).toBe(1);
  expect(output).toContain("Failed: library\n");
  expect(output).toMatch(/^bench +ok$/m);
  expect(report("library")).toContain("invalid signature");
});

test("verify_mac.sh counts objects without a pool, and none may be there", () => {
  tool(
    "bun",
    "echo 'objc[1]: MISSING POOLS: (0x1) Object 0x2 of class A autoreleased with no pool in place - leak'",
  );
  const { status, output } = run("pools", "bench");
  expect(status).toBe(1);
  expect(output).toContain("Failed: pools\n");
  expect(report("pools")).toContain("objects autoreleased with no pool in place: 1");
  expect(readdirSync(join(directory, "build/verify-mac")).sort()).toEqual(["bench.txt", "pools.txt"]);
});

test("verify_mac.sh refuses an unknown step and another system", () => {
  expect(run("pool")).toEqual({
    status: 2,
    output: `verify-mac: there is no step "pool"; there are: ${steps.join(" ")}\n`,
  });
  tool("uname", "echo Linux");
  const { status, output } = run();
  expect(status).toBe(2);
  expect(output).toContain("has to run on a Mac; this is Linux");
});
