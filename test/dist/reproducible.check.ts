// Another clone, in a directory with another name, makes the same bytes of what ships for Linux: of the library for x86-64, and of
// native kernels and shaders for one level, since those for other architectures and levels are made by the same commands.
import { expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dist, execute, filesBelow, outputOf, root } from "./distribution.ts";

const directory = "linux-x64";

test("two clones build the same library and shaders", async () => {
  const clone = mkdtempSync(join(tmpdir(), "bun-metal-a-clone-with-a-longer-name-"));
  try {
    const listed = await outputOf(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for (const file of listed.split("\0").filter((name) => name !== "" && !name.startsWith("test/"))) {
      cpSync(join(root, file), join(clone, file), { recursive: true });
    }
    // Native kernels take minutes to compile. Those of one level are compiled again; the others are taken along, as PTX is,
    // once it is seen that they do not know this directory.
    for (const folder of ["build/cuda/native/sm_80", "build/cuda/native/sm_90a", "build/native/x86_64"]) {
      cpSync(join(root, folder), join(clone, folder), { recursive: true });
      for (const file of filesBelow(join(clone, folder)).filter((name) => /\.(o|ptx)$/.test(name))) {
        expect(readFileSync(join(clone, folder, file)).indexOf(root), file).toBe(-1);
      }
    }
    rmSync(join(clone, "build/native/x86_64/v2.o"));
    // A make of its own, no part of the one that may run this.
    const environment = { ...process.env, MAKEFLAGS: undefined, MFLAGS: undefined, MAKELEVEL: undefined };
    const command = ["make", "dist-linux-x64", "DIST_SHADERS_linux-x64=x86-64-v3", "DIST_CUDA="];
    const { code, stdout, stderr } = await execute(command, { cwd: clone, environment });
    expect(code, stdout + stderr).toBe(0);
    const files = filesBelow(join(dist, directory)).filter(
      (file) => !file.endsWith(".metallib") || file === "shaders-x86-64-v3.metallib",
    );
    expect(files).toContain("libbun_metal.so");
    expect(filesBelow(join(clone, "dist", directory))).toEqual(files);
    const different = files.filter(
      (file) =>
        !readFileSync(join(clone, "dist", directory, file)).equals(readFileSync(join(dist, directory, file))),
    );
    expect(different).toEqual([]);
  } finally {
    rmSync(clone, { recursive: true });
  }
});
