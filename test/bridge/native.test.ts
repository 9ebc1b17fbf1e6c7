// Runs the native test programs of test/native (`make native-tests` builds them). Each counts its own objects.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join, normalize } from "node:path";

const root = normalize(join(import.meta.dirname, "../.."));
const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch;
const built = join(root, `build/${process.platform}-${machine}/native`);
// cpu_run is a tool of msl.test.ts: it takes a kernel to run. Elsewhere than on Linux there is only the bridge to test.
const sources = [...new Bun.Glob("**/*_test.{c,cc,m}").scanSync(join(root, "test/native"))]
  .filter((source) => source !== "cpu_run_test.c")
  .filter((source) => process.platform === "linux" || /^bridge_(object|program|queue)_/.test(source))
  .sort();

/** Those of a folder have its name before their own. */
const programOf = (source: string): string => source.replace("/", "_").replace(/_test\.\w+$/, "");

describe("native tests", () => {
  test("there is a program for each source", () => {
    expect(sources.length).toBeGreaterThan(2);
    const missing = sources.filter((source) => !existsSync(join(built, programOf(source))));
    expect(missing, "make native-tests builds them").toEqual([]);
  });

  for (const source of sources) {
    const name = programOf(source);
    test(`${name} passes`, async () => {
      const child = Bun.spawn([join(built, name)], { stdout: "pipe", stderr: "pipe" });
      const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      const failed = output.split("\n").filter((line) => line !== "" && !line.startsWith("ok "));
      expect(await child.exited, `${failed.join("\n")}\n${errors}`).toBe(0);
      expect(output).toContain("ok ");
    });
  }
});
