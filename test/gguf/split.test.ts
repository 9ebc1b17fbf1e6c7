// Models in several files: any part opens all, and a part that is missing, broken or another's is named.
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GgufError, openGguf, parseGguf } from "../../src/gguf/index.ts";
import { type SplitOptions, splitModel, splitName } from "../reference/gguf_split.ts";
import type { WritableTensor, WritableValue } from "../reference/gguf_writer.ts";

const directory = mkdtempSync(join(tmpdir(), "bun-metal-split-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
beforeEach(() => {
  for (const name of readdirSync(directory)) rmSync(join(directory, name));
});

const metadata = new Map<string, WritableValue>([
  ["general.architecture", "llama"],
  ["general.name", "Split"],
]);
const tensors: readonly WritableTensor[] = Array.from({ length: 7 }, (_, i) => ({
  name: `t${i}`,
  type: 0,
  shape: [8, i + 1],
  data: new Uint8Array(32 * (i + 1)).fill(i),
}));

/** Writes a model in parts and returns their paths. */
function write(count: number, options: SplitOptions = {}, name = "model"): string[] {
  return splitModel(metadata, tensors, count, options).map((bytes, part) => {
    const path = join(directory, splitName(name, part, count));
    writeFileSync(path, bytes);
    return path;
  });
}

/** What opening says. Fails if it succeeds. */
function refusal(path: string): GgufError {
  try {
    openGguf(path);
  } catch (error) {
    if (error instanceof GgufError) return error;
    throw error;
  }
  throw new Error(`${path} was accepted`);
}

describe("openGguf() of split models", () => {
  for (const tensorlessFirst of [false, true]) {
    for (const count of tensorlessFirst ? [2, 5] : [1, 2, 5]) {
      const how = tensorlessFirst ? ", the first without tensors" : "";
      test(`openGguf() reads ${count} parts from any of them${how}`, () => {
        const paths = write(count, { tensorlessFirst });
        for (const path of paths) {
          const file = openGguf(path);
          expect(file.getString("general.name")).toBe("Split");
          expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
          expect(file.parts.map((part) => part.path)).toEqual(paths);
          expect(file.fileSize).toBe(file.parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
          const parts = [...file.tensors.values()].map(({ part }) => part);
          expect(new Set(parts).size).toBe(tensorlessFirst ? count - 1 : count);
          expect(parts).toEqual(parts.toSorted((a, b) => a - b));
          expect(parts[0]).toBe(tensorlessFirst ? 1 : 0);
        }
      });
    }
  }

  test("openGguf() of a merged file, which says that it has 0 parts, reads that file", () => {
    const change: SplitOptions["change"] = (_, keys) => keys.set("split.count", 0);
    const [path] = write(1, { change });
    const renamed = join(directory, "merged.gguf");
    renameSync(path, renamed);
    expect(openGguf(renamed).parts).toEqual([{ path: renamed, byteLength: expect.any(Number) }]);
  });

  test("parseGguf() reads one part for itself", () => {
    const [, second] = splitModel(metadata, tensors, 2);
    const file = parseGguf(second);
    expect([...file.tensors.keys()]).toEqual(["t3", "t4", "t5", "t6"]);
    expect(file.parts).toEqual([]);
  });

  test("openGguf() names a part that is missing", () => {
    const paths = write(3);
    for (const missing of [1, 2, 0]) {
      rmSync(paths[missing]);
      const error = refusal(paths[missing === 0 ? 1 : 0]);
      expect(error.message).toContain(splitName("model", missing, 3));
      expect(error.message).toContain("there is no such file; all parts have to lie in one folder");
      expect(error.cause).toBeInstanceOf(Error);
      write(3);
    }
  });

  test("openGguf() names a part that is cut, at any byte of the header and in the data", () => {
    const [first, second] = write(2);
    const length = openGguf(first).parts[1].byteLength;
    for (const size of [length - 1, length - 100, 60, 20, 3, 0]) {
      truncateSync(second, size);
      for (const path of [first, second]) {
        // The part that one begins with is read before there is more than one.
        expect(refusal(path).message).toMatch(path === first ? /part 2 of 2: Cannot/ : /Cannot/);
      }
      write(2);
    }
    truncateSync(second, length - 1);
    expect(refusal(first).message).toContain(splitName("model", 1, 2));
  });

  test("openGguf() refuses parts of another model, or under another part's name", () => {
    const paths = write(3);
    const others = write(4, {}, "other");
    const swap = (from: string, to: string): void => {
      renameSync(from, to);
    };
    swap(others[1], paths[1]);
    let error = refusal(paths[0]);
    expect(error.message).toContain(splitName("model", 1, 3));
    expect(error.message).toContain("its split.count is 4, not 3");

    write(3);
    swap(paths[2], paths[1]);
    error = refusal(paths[0]);
    expect(error.message).toContain(splitName("model", 1, 3));
    expect(error.message).toContain("its split.no is 2, not 1");
    expect(error.field).toBe("split.no");

    const change: SplitOptions["change"] = (part, keys, own) => {
      if (part === 1) keys.set("split.tensors.count", { type: "i32", value: 8 });
      if (part === 1) own.push({ ...own[0], name: "extra" });
    };
    write(3, { change });
    expect(refusal(paths[0]).message).toContain("its split.tensors.count is 8, not 7");
  });

  test("openGguf() refuses tensors too many, too few or twice", () => {
    const alter = (change: SplitOptions["change"]): GgufError => refusal(write(3, { change })[0]);
    expect(alter((part, _, own) => part === 2 && own.push({ ...own[0], name: "extra" })).message).toContain(
      "the 3 parts have 8 tensors, and split.tensors.count is 7",
    );
    expect(alter((part, _, own) => part === 2 && own.pop()).message).toContain("have 6 tensors");
    const twice = alter((part, _, own) => part === 2 && own.push({ ...own[0], name: "t0" }));
    expect(twice.message).toContain(splitName("model", 2, 3));
    expect(twice.message).toContain('tensor "t0" is there twice');
    expect(twice.message).toContain(splitName("model", 0, 3));
  });

  test("openGguf() refuses a part under a name that does not lead to the others", () => {
    const [first] = write(2);
    for (const name of [
      "model.gguf",
      "model-1-of-2.gguf",
      splitName("model", 0, 3),
      "model-00003-of-00002.gguf",
    ]) {
      const path = join(directory, name);
      renameSync(first, path);
      const error = refusal(path);
      expect(error.message).toContain(JSON.stringify(path));
      expect(error.message).toContain('call it as it was, "name-00001-of-00002.gguf"');
      renameSync(path, first);
    }
  });

  test("openGguf() refuses counts that are none, and opens no file for them", () => {
    for (const count of [100_000, -1, 1.5, true, "3", ["a"]]) {
      const value =
        typeof count === "number" && !Number.isInteger(count) ? { type: "f32", value: count } : count;
      const change: SplitOptions["change"] = (_, keys) => keys.set("split.count", value as WritableValue);
      expect(refusal(write(1, { change })[0]).message).toContain("split.count is");
    }
  });
});
