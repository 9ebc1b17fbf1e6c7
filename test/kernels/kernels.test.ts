/**
 * Every kernel of the shader library, over many shapes, against a float64 reference.
 *
 * A case reruns alone by its name: `bun test test/kernels -t "matvec_q8_0 matches float64 with rows=3 n=9 k=96"`.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Device } from "../../src/runtime/index.ts";
import { hasNativeKernels } from "../host/native_kernels.ts";
import { boundOf, buildCase, type KernelCase, seedOf } from "./case.ts";
import { KernelRunner, largestError } from "./runner.ts";
import { kernelCases } from "./suite.ts";

/** A native kernel takes a dispatch as a whole, however many threads a threadgroup has: one number of them is enough. */
function withoutThreads(testCases: readonly KernelCase[]): readonly KernelCase[] {
  const nameOf = ({ kernel, shape }: KernelCase): string => `${kernel} ${shape.replace(/ threads=\d+/, "")}`;
  return [...new Map(testCases.map((testCase) => [nameOf(testCase), testCase])).values()];
}

const cases = hasNativeKernels ? withoutThreads(kernelCases) : kernelCases;

describe("kernels", () => {
  let runner: KernelRunner;
  let handlesBefore: ReturnType<typeof Device.liveHandles>;

  beforeAll(() => {
    handlesBefore = Device.liveHandles();
    runner = new KernelRunner();
  });

  afterAll(() => {
    runner[Symbol.dispose]();
    expect(Device.liveHandles()).toEqual(handlesBefore);
  });

  test("shaders() has no kernel without a case, and no case is without a kernel", () => {
    const tested = new Set(cases.map((testCase) => testCase.kernel));
    expect([...tested].sort()).toEqual([...runner.kernels].sort());
  });

  test("cases have names of their own", () => {
    const names = cases.map((testCase) => `${testCase.kernel} ${testCase.shape}`);
    expect(new Set(names).size).toBe(names.length);
  });

  for (const testCase of cases) {
    test(`${testCase.kernel} matches float64 with ${testCase.shape}`, () => {
      try {
        runner.run(testCase.kernel, buildCase(testCase), boundOf(testCase));
      } catch (cause) {
        throw new Error(`${testCase.kernel} failed with seed ${seedOf(testCase)}: ${String(cause)}`, {
          cause,
        });
      }
    });
  }
});

describe("largestError()", () => {
  test("largestError() is relative to the element, or to the typical one where that is larger", () => {
    expect(largestError([1.01, 1], [1, 1]).error).toBeCloseTo(0.01);
    expect(largestError([100.1, 0], [100, 0]).error).toBeCloseTo(0.001);
    expect(largestError([10, 0.1], [10, 0]).error).toBeCloseTo(0.1 / Math.sqrt(50));
  });

  test("largestError() is infinite for an element that was not written", () => {
    expect(largestError([1, NaN], [1, 1])).toEqual({ error: Infinity, index: 1 });
    expect(largestError([0, 5], [0, NaN]).error).toBe(Infinity);
  });

  test("largestError() is not blunted by masked elements", () => {
    expect(largestError([-3e38, 2], [-3e38, 1]).error).toBe(1);
    expect(largestError([-1, 2], [-3e38, 2]).error).toBeCloseTo(1);
  });
});
