// The arm64 code for Apple's systems, executed: as test/apple/loader.test.ts does with the x86_64 slice, under QEMU.
import { describe, expect, test } from "bun:test";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { bridgePrograms, dylib, failuresOf, type Outcome, root, run } from "../apple/loader_programs.ts";
import { austen, Bundle } from "../model/models.ts";
import { hex } from "../model/session.ts";

const built = join(root, "build/dist/linux-arm64/loader");
const isHere = process.platform === "linux" && process.arch === "x64";

function runProgram(
  program: string,
  programArguments: readonly string[],
  input?: string,
  variables: readonly string[] = [],
): Promise<Outcome> {
  const qemu = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", ...variables.flatMap((set) => ["-E", set])];
  return run([...qemu, join(built, program), ...programArguments], input);
}

if (!isHere) {
  test("the arm64 slice is run by QEMU on x86_64 Linux alone: there is nothing to do here", () => {
    expect(existsSync(join(root, "test/apple/loader"))).toBe(true);
  });
} else {
  describe("the arm64 code for Apple's systems runs on Linux", () => {
    test("the loader's own cases pass", async () => {
      const outcome = await runProgram("cases", [join(built, "cases.dylib")]);
      expect(outcome.status, failuresOf(outcome)).toBe(0);
    });

    for (const program of bridgePrograms) {
      test(`${program} passes on the dylib`, async () => {
        const outcome = await runProgram(program, [dylib]);
        expect(outcome.status, failuresOf(outcome)).toBe(0);
        expect(outcome.output).toContain("bm_abi_version is in the image");
        expect(outcome.output).toContain("left: 0 objects, 0 handles, 0 bytes in buffers");
      });
    }

    for (const platform of ["macos", "ios", "tvos"]) {
      test(`the static library for ${platform} passes`, async () => {
        for (const program of ["bridge_program", "bridge_fault"]) {
          const outcome = await runProgram(program, [join(built, `static-${platform}.dylib`)]);
          expect(outcome.status, failuresOf(outcome)).toBe(0);
        }
      });
    }

    test("a model writes through the dylib what it writes through the library for Linux", async () => {
      using bundle = new Bundle();
      // Compiled shaders lie beside this copy, and it cannot compile others: test/apple/loader.test.ts has the source compiled
      // that the dylib carries.
      const copy = join(bundle.path, "bun-metal.dylib");
      copyFileSync(dylib, copy);
      copyFileSync(
        join(root, "dist/linux-arm64/shaders-aarch64.metallib"),
        join(bundle.path, "shaders-aarch64.metallib"),
      );
      bundle.copy(austen);
      bundle.export(austen, "plan.bmplan", { contextLength: 64, kvType: "f32" });
      const commands = [
        `open ${bundle.path} plan.bmplan`,
        "sampling 0 40 0.95 0.05 1 64 0",
        `prompt 0 ${hex("It is a truth universally")}`,
        "next 10 4096",
        "close",
      ].join("\n");
      const answers = ({ output }: Outcome) => output.split("\n").filter((line) => line.startsWith("{"));
      const outcome = await runProgram("generate", [copy], `${commands}\n`, ["BUN_METAL_CLANG=/bin/false"]);
      expect(outcome.status, failuresOf(outcome)).toBe(0);
      const expected = await run([join(root, "build/linux-x86_64/generate")], `${commands}\n`);
      expect(answers(outcome)).toEqual(answers(expected));
      expect(outcome.output).toContain('{"calls":[[');
    });
  });
}
