/**
 * The dylib for macOS, executed: test/apple/loader maps the x86_64 slice of the very file that ships, binds it to the
 * Metal layer for Linux, and runs the bridge's native tests on it (`make loader-tests` builds the programs).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { austen, Bundle } from "../model/models.ts";
import { hex } from "../model/session.ts";
import { bridgePrograms, dylib, failuresOf, type Outcome, root, run } from "./loader_programs.ts";

const built = join(root, "build/linux-x86_64/loader");
const statics = ["static-macos.dylib", "static-ios-simulator.dylib", "static-tvos-simulator.dylib"];
const isHere = process.platform === "linux" && process.arch === "x64";

/** Runs a program that `make loader-tests` has built. */
function runProgram(program: string, ...programArguments: readonly string[]): Promise<Outcome> {
  return run([join(built, program), ...programArguments]);
}

if (!isHere) {
  test("the loader runs the x86_64 slice on x86_64 Linux alone: there is nothing to do here", () => {
    expect(existsSync(join(root, "test/apple/loader"))).toBe(true);
  });
} else {
  describe("the dylib for macOS runs on Linux", () => {
    test("everything is built", () => {
      const programs = bridgePrograms.map((program) => join(built, program));
      const libraries = [dylib, ...["cases", "cases.dylib", ...statics].map((name) => join(built, name))];
      const files = [...libraries, ...programs, join(built, "generate"), join(built, "../generate")];
      expect(bridgePrograms.length).toBeGreaterThanOrEqual(4);
      expect(
        files.filter((file) => !existsSync(file)),
        "make loader-tests builds them",
      ).toEqual([]);
    });

    test("the loader's own cases pass", async () => {
      const outcome = await runProgram("cases", join(built, "cases.dylib"));
      expect(outcome.status, failuresOf(outcome)).toBe(0);
      expect(outcome.output).toContain("0 of ");
    });

    for (const program of bridgePrograms) {
      test(`${program} passes on the dylib`, async () => {
        const outcome = await runProgram(program, dylib);
        expect(outcome.status, failuresOf(outcome)).toBe(0);
        expect(outcome.output).toContain("bm_abi_version is in the image");
        expect(outcome.output).toContain(
          "left: 0 objects, 0 handles, 0 bytes in buffers; autoreleased with no pool: 0",
        );
      });
    }

    test("a model writes through the dylib what it writes through the library for Linux", async () => {
      using bundle = new Bundle();
      bundle.copy(austen);
      bundle.export(austen, "plan.bmplan", { contextLength: 128, kvType: "f32" });
      const commands = [
        `open ${bundle.path} plan.bmplan`,
        "sampling 0 40 0.95 0.05 1 64 0",
        `prompt 0 ${hex("It is a truth universally")}`,
        "next 40 4096",
        "rewind 0",
        "sampling 0.8 40 0.95 0.05 1.1 64 7",
        `prompt 0 ${hex("She was")}`,
        "next 40 4096",
        "close",
      ].join("\n");
      const answers = ({ output }: Outcome) => output.split("\n").filter((line) => line.startsWith("{"));
      const outcome = await run([join(built, "generate"), dylib], `${commands}\n`);
      const expected = await run([join(built, "../generate")], `${commands}\n`);
      expect(outcome.status, failuresOf(outcome)).toBe(0);
      expect(answers(outcome)).toEqual(answers(expected));
      const texts = answers(outcome).filter((answer) => answer.startsWith('{"calls":[['));
      expect(texts).toHaveLength(2);
      expect(texts[0]).not.toBe(texts[1]);
      expect(outcome.output).toContain("left: 0 objects");
    });

    test("the static library for macOS passes as well", async () => {
      for (const program of ["bridge_program", "bridge_fault"]) {
        const outcome = await runProgram(program, join(built, "static-macos.dylib"));
        expect(outcome.status, failuresOf(outcome)).toBe(0);
      }
    });

    for (const [name, platform] of [
      ["static-ios-simulator.dylib", "iOS's simulator 15.0"],
      ["static-tvos-simulator.dylib", "tvOS's simulator 15.0"],
    ] as const) {
      test(`${name} runs as far as simulators go: it says why they have no device for us`, async () => {
        const outcome = await runProgram("bridge_object", join(built, name));
        expect(outcome.output).toContain(`Mach-O for ${platform}`);
        expect(outcome.output).toContain("bm_abi_version is in the image");
        expect(outcome.output).toContain("simulators have no SIMD groups");
        expect(outcome.signal, failuresOf(outcome)).toBe(null);
        expect(outcome.status).toBe(1);
      });
    }

    test("bridge_object passes where the system has no MTLCopyAllDevices", async () => {
      const outcome = await runProgram("bridge_object", dylib, "--hide", "_MTLCopyAllDevices");
      expect(outcome.status, failuresOf(outcome)).toBe(0);
    });
  });

  describe("what cannot be loaded is refused with its reason", () => {
    const original = existsSync(dylib) ? readFileSync(dylib) : Buffer.alloc(0);
    let directory = "";
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), "bun-metal-loader-"));
    });
    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    /** Where the x86_64 slice lies in the universal file. */
    function slice(): { readonly entry: number; readonly offset: number; readonly size: number } {
      const count = original.readUInt32BE(4);
      for (let entry = 8; entry < 8 + count * 20; entry += 20) {
        if (original.readUInt32BE(entry) !== 0x01000007) continue;
        return { entry, offset: original.readUInt32BE(entry + 8), size: original.readUInt32BE(entry + 12) };
      }
      throw new RangeError("The dylib has no slice for x86_64");
    }

    /** Loads a changed copy; it must be refused, not crash. */
    async function refusal(bytes: Uint8Array): Promise<string> {
      const file = join(directory, "changed.dylib");
      writeFileSync(file, bytes);
      const outcome = await runProgram("bridge_object", file);
      expect(outcome.signal, failuresOf(outcome)).toBe(null);
      expect(outcome.status, failuresOf(outcome)).toBe(2);
      return outcome.errors;
    }

    /** A copy in which a text of the x86_64 slice is another one of the same length, wherever it stands. */
    function replaced(text: string, by: string): Buffer {
      const bytes = Buffer.from(original);
      const { offset, size } = slice();
      const end = offset + size;
      expect(by.length).toBe(text.length);
      let at = bytes.indexOf(text, offset, "latin1");
      expect(at, `the dylib contains ${JSON.stringify(text)}`).toBeGreaterThan(-1);
      for (; at >= 0 && at < end; at = bytes.indexOf(text, at + 1, "latin1")) bytes.write(by, at, "latin1");
      return bytes;
    }

    test("bytes changed at random: what is malformed is refused, and nothing crashes", async () => {
      const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
      console.log(`seed ${seed}`);
      const { offset, size } = slice();
      let state = seed >>> 0;
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      let refused = 0;
      for (let round = 0; round < 150; round++) {
        const bytes = Buffer.from(original.subarray(offset, offset + size));
        for (let change = 0; change <= random(4); change++) {
          // Half of the changes hit the header and the load commands.
          const at = random(2) === 0 ? random(4096) : random(size);
          bytes[at] = [0, 0xff, 0x7f, 0x80, random(256)][random(5)] ?? 0;
        }
        const file = join(directory, "random.dylib");
        writeFileSync(file, bytes);
        const outcome = await runProgram("bridge_object", file, "--load-only");
        expect(outcome.signal, `seed ${seed}, round ${round}`).toBe(null);
        if (outcome.status !== 0) expect(outcome.errors).toContain("The library cannot be loaded: ");
        if (outcome.status !== 0) refused++;
      }
      expect(refused).toBeGreaterThan(20);
    });

    test("a missing file", async () => {
      const outcome = await runProgram("bridge_object", join(directory, "nothing.dylib"));
      expect(outcome.status).toBe(2);
      expect(outcome.errors).toContain("cannot be opened: No such file");
    });

    test("an empty file, a short file, a file of something else", async () => {
      expect(await refusal(new Uint8Array(0))).toContain("a file that is not empty");
      expect(await refusal(new Uint8Array(16))).toContain("less than a Mach-O header");
      expect(await refusal(new Uint8Array(4096).fill(0x20))).toContain("is no Mach-O file");
    });

    test("a wrong magic in the slice", async () => {
      const bytes = Buffer.from(original);
      bytes.writeUInt32LE(0xdeadbeef, slice().offset);
      expect(await refusal(bytes)).toContain('is no Mach-O file: it starts with "0xdeadbeef"');
    });

    test("a file without a slice for x86_64", async () => {
      const bytes = Buffer.from(original);
      bytes.writeUInt32BE(0x01000012, slice().entry);
      expect(await refusal(bytes)).toContain("has no slice for x86_64");
    });

    test("a truncated file, wherever it is cut", async () => {
      const { offset, size } = slice();
      for (const share of [0, 0.001, 0.01, 0.3, 0.7, 0.99]) {
        expect(await refusal(original.subarray(0, offset + Math.floor(size * share)))).toContain("beyond");
      }
      // The slice alone, cut: the load commands are whole, and the segments are not.
      expect(await refusal(original.subarray(offset, offset + Math.floor(size / 2)))).toContain(
        "the file is cut",
      );
    });

    test("an import that nobody knows", async () => {
      const message = await refusal(replaced("\0_objc_alloc_init\0", "\0_objc_alloc_else\0"));
      expect(message).toContain(
        'Symbol "_objc_alloc_else", asked from "/usr/lib/libobjc.A.dylib", is not known',
      );
    });

    test("an import from a library that does not have it", async () => {
      const message = await refusal(replaced("\0_objc_retain\0", "\0_strstr\0\0\0\0\0\0"));
      expect(message).toContain('Symbol "_strstr" is asked from "/usr/lib/libobjc.A.dylib", but');
      expect(message).toContain("libSystem");
    });

    test("a needed symbol that the system lacks", async () => {
      const outcome = await runProgram("bridge_object", dylib, "--hide", "_MTLCreateSystemDefaultDevice");
      expect(outcome.status).toBe(2);
      expect(outcome.errors).toContain("import it weakly");
    });

    test("a library that does not exist on a Mac", async () => {
      const name = "Frameworks/Foundation.framework/Versions/";
      expect(await refusal(replaced(`${name}C`, `${name}A`))).toContain("does not exist on this platform");
    });

    test("an export that bun_metal.h does not declare", async () => {
      const outcome = await runProgram("bridge_object", join(built, "cases.dylib"));
      expect(outcome.status).toBe(2);
      expect(outcome.errors).toContain("which bun_metal.h does not declare");
    });
  });
}
