// Programs of products: what they compute is right in all forms, and cases are what the words say.
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Device } from "../../mod.ts";
import { copySpeed } from "./copy.ts";
import { OptionError } from "./options.ts";
import { forms, readCases } from "./product_cases.ts";
import { measureProduct } from "./product_speed.ts";

const QUICK = { chained: true, rotationBytes: 2 ** 18, rounds: 1, milliseconds: 1, count: 3 } as const;
/** Activations of quantised products are rounded; a wrong operand would be off by its size. */
const MOST_ERROR = 0.02;

describe("cases", () => {
  test("a model's products have the forms in which it runs them", () => {
    const cases = readCases({ types: "q8_0", shapes: "8b", rows: "1" });
    expect(cases.map(({ k, n, form }) => `${k}x${n} ${form}`)).toEqual([
      "4096x4096 norm",
      "4096x4096 residual",
      "4096x14336 gated",
      "14336x4096 residual",
      "4096x128256 norm",
    ]);
    expect(cases[0].also).toEqual([1024, 1024]);
  });
  test("of more rows each shape is measured once, and logits are not", () => {
    const cases = readCases({ types: "f16,q4_k", shapes: "8b", rows: "512" });
    expect(cases.map(({ type, k, n, form }) => `${type} ${k}x${n} ${form}`)).toEqual(
      ["f16", "q4_k"].flatMap((type) =>
        ["4096x4096", "4096x1024", "4096x14336", "14336x4096"].map((shape) => `${type} ${shape} plain`),
      ),
    );
  });
  test("words that are unknown are told", () => {
    expect(() => readCases({ types: "q9", shapes: "8b", rows: "1" })).toThrow(OptionError);
    expect(() => readCases({ types: "f16", shapes: "8x", rows: "1" })).toThrow(OptionError);
    expect(() => readCases({ types: "f16", shapes: "8b", rows: "1.5" })).toThrow(OptionError);
    expect(() => readCases({ types: "f16", shapes: "8b", rows: "1", forms: "round" })).toThrow(OptionError);
  });
});

describe("products", () => {
  const device = Device.open();
  afterAll(() => device.dispose());
  const cases = readCases({ types: "f16,q4_k,q5_0", shapes: "256x96", rows: "1,5", forms: forms.join(",") });
  test.each(cases)("$type, $rows rows, $form", async (product) => {
    const figure = await measureProduct(device, product, QUICK);
    expect(figure.error).toBeLessThan(MOST_ERROR);
    expect(figure.copies).toBe(QUICK.count);
    expect(figure.microseconds.median).toBeGreaterThan(0);
    expect(figure.operations).toBe(2 * product.rows * 256 * 96 * (product.form === "gated" ? 2 : 1));
  });
  test("of several matrices, the last part of the tile's rows too", async () => {
    const product = {
      name: "qkv",
      k: 4096,
      n: 700,
      also: [64, 40],
      form: "norm",
      type: "f16",
      rows: 1,
    } as const;
    const figure = await measureProduct(device, product, QUICK);
    expect(figure.error).toBeLessThan(MOST_ERROR);
    expect(figure.weightBytes).toBe(2 * 4096 * 804);
  });
  test("side by side, of the same weights", async () => {
    const [product] = readCases({ types: "q8_0", shapes: "256x96", rows: "1" });
    const figure = await measureProduct(device, product, { ...QUICK, chained: false, rotationBytes: 0 });
    expect(figure.copies).toBe(1);
    expect(figure.error).toBeLessThan(MOST_ERROR);
  });
  test("copies have a speed", () => {
    expect(copySpeed(device, 2 ** 16)).toBeGreaterThan(0);
  });
});

test("the program measures with and without the device's own kernels", () => {
  const program = join(import.meta.dirname, "products.ts");
  const words = "--types q8_0 --shapes 256x96 --rows 1,5 --copy-bytes 65536 --milliseconds 1 --rounds 1";
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, "run", program, ...words.split(" ")]);
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
  const rows = stdout
    .toString()
    .split("\n")
    .filter((line) => line.startsWith("| 256x96"));
  expect(rows.map((row) => row.split(" | ").length)).toEqual([12, 12]);
  for (const row of rows) expect(Number(row.split(" | ")[11].replace(" |", ""))).toBeGreaterThan(0);
});
