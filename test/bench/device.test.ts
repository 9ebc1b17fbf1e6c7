// The benchmark of a device, whole, with a model that is tiny: it ends, says what it left out, and writes what it found.
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { trendOf } from "./device/flatness.ts";
import { measurePlainC } from "./device/quoted_product.ts";
import { markdown } from "./device/report.ts";
import type { DeviceResults } from "./device/results.ts";

const SECONDS = 60;

function run(directory: string, ...words: string[]) {
  const models = join(directory, "models");
  const child = Bun.spawnSync(
    [
      ...[process.execPath, "run", join(import.meta.dirname, "device.ts")],
      ...["--models", "tiny-q4_k_m", "--directory", models, "--python", "no-such-python"],
      ...["--prompts", "8,40", "--depths", "8,24", "--tokens", "16", "--rounds", "2", "--batch-size", "32"],
      ...["--copy-bytes", "65536", "--json", join(directory, "found/it.json"), ...words],
    ],
    { timeout: 1e3 * SECONDS },
  );
  return { status: child.exitCode, output: child.stdout.toString(), errors: child.stderr.toString(), models };
}

test(
  "a run measures a model, and tells what could not be",
  () => {
    const directory = mkdtempSync(join(tmpdir(), "bench-device-"));
    try {
      const { status, output, errors, models } = run(
        directory,
        ...["--parts", "models,torch,memory", "--minutes", "0.01"],
      );
      expect(errors).toBe("");
      expect(status).toBe(0);
      const results = JSON.parse(readFileSync(join(directory, "found/it.json"), "utf8")) as DeviceResults;
      const figures = results.models["tiny-q4_k_m"];
      expect(Object.keys(figures.prompts)).toEqual(["8", "40"]);
      expect(figures.generation[24]).toMatchObject({ count: 2 });
      expect(figures.generation[24].median).toBeGreaterThan(0);
      expect(figures.host?.wall).toBeGreaterThan(figures.host?.submission ?? Number.POSITIVE_INFINITY);
      expect(figures.loads?.count).toBe(2);
      expect(results.torch).toEqual({ skipped: "There is no no-such-python" });
      expect(results.flatness?.tokens).toBeGreaterThan(0);
      expect(results.failures).toEqual([]);
      expect(output).toEndWith(`${markdown(results)}\n`);
      expect(output).toContain("| tiny-q4_k_m |");
      // The model's file is gone: nobody asked to keep it.
      expect(existsSync(models) ? readdirSync(models) : []).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
  1e3 * SECONDS,
);

test("a run without time says what it left out", () => {
  const directory = mkdtempSync(join(tmpdir(), "bench-device-"));
  try {
    const { status, output } = run(directory, "--budget", "0.001");
    expect(status).toBe(0);
    expect(output).toContain("- tiny-q4_k_m: for want of time");
    expect(output).toContain("- the quoted product: for want of time");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("words that are unknown are told", () => {
  const directory = mkdtempSync(join(tmpdir(), "bench-device-"));
  try {
    expect(run(directory, "--models", "9b")).toMatchObject({ status: 2 });
    expect(run(directory, "--prompts", "0").errors).toStartWith("device: --prompts takes whole numbers");
    expect(run(directory, "--promts", "1").errors).toStartWith("device: Unknown option");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("other programs tell what is unknown, too", () => {
  for (const [program, word] of [
    ["load", "--models=9b"],
    ["device/profile", "--model=9b"],
    ["products", "9b"],
  ] as const) {
    const file = join(import.meta.dirname, `${program}.ts`);
    const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "run", file, word]);
    expect([exitCode, stdout.toString()]).toEqual([2, ""]);
    expect(stderr.toString()).toMatch(/^(load|profile|products|host_time): .*9b.*\n$/);
  }
});

test("other programs tell an option that they do not have, too", () => {
  for (const program of ["load", "device/profile", "products", "host_time"]) {
    const file = join(import.meta.dirname, `${program}.ts`);
    const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "run", file, "--modle=9b"]);
    expect([exitCode, stdout.toString()]).toEqual([2, ""]);
    expect(stderr.toString()).toMatch(/^(load|profile|products|host_time): Unknown option '--modle'.*\n$/);
  }
});

test("a page says whether PyTorch's figures are of this run", () => {
  const summary = { median: 100, least: 90, most: 110, count: 3 };
  const page = (...measured: number[]): string => {
    const results = {
      about: { device: "a GPU", date: "2026-01-01", machine: { processors: 2 } },
      models: {
        "1.1b-f16": {
          copies: [],
          firstLoad: 1,
          allocated: 1,
          weightBytes: 1,
          prompts: { 512: summary, 4096: summary },
          generation: {},
        },
      },
      torch: {
        products: measured.map((rows) => ({ rows, name: "a layer", teraflops: summary })),
        llama: { skipped: "" },
        copy: 1,
      },
      failures: [],
    };
    return markdown(results as unknown as DeviceResults);
  };
  expect(page(512, 4096)).toMatch(/beside what PyTorch .* in this run, with as many rows\.\n/);
  expect(page(512)).toMatch(/beside what PyTorch .* with as many rows; where it has none, the .* quoted\.\n/);
  expect(page()).toMatch(/beside the \d+ TFLOP\/s of PyTorch in F16 that are quoted\.\n/);
});

test("a trend is a line through the later samples", () => {
  const samples = Array.from({ length: 20 }, (_, i) => ({ seconds: 3 * i, value: i < 5 ? 0 : 100 + 2 * i }));
  expect(trendOf(samples)?.slope).toBeCloseTo(40, 9); // 2 in 3 seconds
  expect(trendOf(samples)).toMatchObject({ first: 110, last: 138 });
  expect(trendOf(samples.map(({ seconds }) => ({ seconds, value: undefined })))).toBeUndefined();
});

test("plain C multiplies, by whatever compiler there is", () => {
  const measured = measurePlainC(512, 64);
  expect(measured?.q4k.median).toBeGreaterThan(0);
  expect(measured?.f32.median).toBeGreaterThan(0);
});
