// Files in buffers: mapped, copied and staged, whole and in parts, and what becomes of them when something goes wrong.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Buffer } from "node:buffer";
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GgufError } from "../../src/gguf/index.ts";
import { STAGING_BUFFERS, STAGING_BYTES } from "../../src/llama/staging.ts";
import { loadWeights, type WeightLayout } from "../../src/llama/weight_buffers.ts";
import { BridgeError, type Device, type Queue } from "../../src/runtime/index.ts";
import { commandOf, run } from "../host/process.ts";
import { deviceAs, deviceWithoutMappings } from "./devices.ts";
import { expectNoMoreThan, type LiveObjects, liveObjects } from "./live.ts";
import { TemporaryFolder } from "./temporary.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const MIB = 2 ** 20;
/** A piece for each staging buffer and a bit, which ends on no word. */
const FILE_BYTES = STAGING_BUFFERS * STAGING_BYTES + 3 * MIB + 3;

const folder = new TemporaryFolder();
const content = new Uint8Array(FILE_BYTES);
let path = "";
let before: LiveObjects;

beforeAll(async () => {
  const words = new Uint32Array(content.buffer, 0, Math.floor(FILE_BYTES / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  content.fill(0xa5, words.byteLength);
  path = folder.write("content.bin", content);
  before = await liveObjects();
});

afterAll(() => folder[Symbol.dispose]());

/** Chunks as a plan would make them, overlapping by a page. */
function layoutOf({ info }: Device): WeightLayout {
  const page = info.pageSize;
  const middle = Math.floor(FILE_BYTES / 2 / page) * page;
  const chunks = [
    { part: 0, offset: page, byteLength: middle }, // ends in the page behind which the next begins
    { part: 0, offset: middle, byteLength: FILE_BYTES - middle },
  ];
  return { chunks, places: new Map(), byteLength: chunks[0].byteLength + chunks[1].byteLength };
}

/** One chunk: the whole file. */
function wholeOf(byteLength: number): WeightLayout {
  return { chunks: [{ part: 0, offset: 0, byteLength }], places: new Map(), byteLength };
}

const ways = [
  ["mapped", () => deviceAs({ weightStorage: "shared" })],
  ["copied", () => deviceWithoutMappings({ weightStorage: "shared" })],
  ["private", () => deviceAs({ weightStorage: "private" })],
] as const;

describe("loadWeights", () => {
  for (const [placement, open] of ways) {
    test(`loadWeights() gives every byte of each chunk, ${placement}`, async () => {
      {
        using device = open();
        for (const layout of [layoutOf(device), wholeOf(FILE_BYTES)]) {
          const fractions: number[] = [];
          using weights = await loadWeights(device, [{ path, byteLength: FILE_BYTES }], layout, {
            onProgress: (fraction) => fractions.push(fraction),
          });
          expect(weights.placement).toBe(placement);
          expect(weights.buffers.length).toBe(layout.chunks.length);
          layout.chunks.forEach(({ offset, byteLength }, i) => {
            const bytes = new Uint8Array(byteLength);
            weights.buffers[i].download(bytes);
            expect(Buffer.compare(bytes, content.subarray(offset, offset + byteLength))).toBe(0);
            expect(weights.buffers[i].storage).toBe(placement === "private" ? "private" : "shared");
          });
          if (placement === "mapped") {
            expect(fractions).toEqual([]);
          } else {
            expect(fractions.length).toBeGreaterThanOrEqual(3);
            expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
            expect(fractions.at(-1)).toBe(1);
          }
        }
      }
      await expectNoMoreThan(before);
    });
  }

  for (const [placement, open] of ways.slice(1)) {
    test(`loadWeights() stops between two pieces when aborted, ${placement}`, async () => {
      const reason = new Error("Changed my mind");
      for (const pieces of [1, 2]) {
        using device = open();
        const stop = new AbortController();
        let seen = 0;
        const loading = loadWeights(device, [{ path, byteLength: FILE_BYTES }], wholeOf(FILE_BYTES), {
          signal: stop.signal,
          onProgress: () => {
            if (++seen === pieces) stop.abort(reason);
          },
        });
        expect(await loading.catch((error: unknown) => error)).toBe(reason);
        expect(seen).toBe(pieces);
      }
      await expectNoMoreThan(before);
    });

    test(`loadWeights() refuses a file that changes meanwhile, ${placement}`, async () => {
      const changing = join(folder.path, "changing.bin");
      const changes = [
        () => truncateSync(changing, 100),
        () => truncateSync(changing, FILE_BYTES - 1),
        () => appendFileSync(changing, "more"),
      ];
      for (const change of changes) {
        writeFileSync(changing, content);
        using device = open();
        let changed = false;
        const loading = loadWeights(
          device,
          [{ path: changing, byteLength: FILE_BYTES }],
          wholeOf(FILE_BYTES),
          {
            onProgress: () => {
              if (!changed) change();
              changed = true;
            },
          },
        );
        const error = await loading.catch((cause: unknown) => cause);
        expect(error).toBeInstanceOf(GgufError);
        expect(String(error)).toContain(`the file had ${FILE_BYTES} bytes when its header was read and has`);
      }
      await expectNoMoreThan(before);
    });

    test(`loadWeights() leaves nothing behind when the device has no memory left, ${placement}`, async () => {
      {
        using device = open();
        const buffer = device.buffer.bind(device);
        let left = placement === "private" ? 3 : 1; // of the first chunk, and some to stage
        Object.defineProperty(device, "buffer", {
          value: (...args: Parameters<Device["buffer"]>) => {
            if (left-- === 0) throw new BridgeError("memory", "There is no memory left");
            return buffer(...args);
          },
        });
        const loading = loadWeights(device, [{ path, byteLength: FILE_BYTES }], layoutOf(device));
        expect(String(await loading.catch((error: unknown) => error))).toContain("There is no memory left");
      }
      await expectNoMoreThan(before);
    });
  }

  test("loadWeights() fails with what a copy on the device failed with", async () => {
    for (const failing of [0, 1, 2]) {
      using device = deviceAs({ weightStorage: "private" });
      const { queue } = device;
      let submitted = 0;
      const submit: Queue["submit"] = async (program) => {
        if (submitted++ === failing) throw new BridgeError("execution", `Copy ${failing} failed`);
        await queue.submit(program);
      };
      Object.defineProperty(device, "queue", { value: { submit } });
      const loading = loadWeights(device, [{ path, byteLength: FILE_BYTES }], wholeOf(FILE_BYTES));
      const error = await loading.catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(BridgeError);
      expect(String(error)).toContain(`Copy ${failing} failed`);
    }
    await expectNoMoreThan(before);
  });

  test("loadWeights() refuses a file that has another size than its header was read from", async () => {
    for (const [, open] of ways) {
      using device = open();
      for (const fileSize of [FILE_BYTES - 1, FILE_BYTES + 1]) {
        const loading = loadWeights(device, [{ path, byteLength: fileSize }], wholeOf(FILE_BYTES - 1));
        expect(await loading.catch((error: unknown) => error)).toBeInstanceOf(GgufError);
      }
      const missing = loadWeights(device, [{ path: `${path}.not`, byteLength: 1 }], wholeOf(1));
      expect(String(await missing.catch((error: unknown) => error))).toContain("Cannot read the weights of");
    }
    await expectNoMoreThan(before);
  });

  test("loadWeights() stages through little memory, whatever the file's size", async () => {
    const large = join(folder.path, "large.bin");
    const length = 160 * MIB;
    writeFileSync(large, "");
    truncateSync(large, length);
    const script = join(import.meta.dirname, "staged_memory.ts");
    const { stdout, stderr } = await run(commandOf(script, [large, String(length)], ["--allow-all"]));
    expect(stderr).toBe("");
    const { placement, rise } = JSON.parse(stdout);
    expect(placement).toBe("private");
    // On the CPU the device's memory is the process's: the weights once, the staging buffers, and some slack.
    expect(rise).toBeGreaterThan(0.9 * length);
    expect(rise).toBeLessThan(length + STAGING_BUFFERS * STAGING_BYTES + 64 * MIB);
  });
});
