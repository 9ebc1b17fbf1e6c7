// Arguments that could not cross the boundary unchanged.
import { describe, expect, test } from "bun:test";
import { cString, requireBytes, requireNumber, requireSize, requireU32 } from "../../src/runtime/check.ts";

describe("requireU32", () => {
  test("requireU32() takes what a u32 holds, and nothing else", () => {
    for (const value of [0, 1, 2 ** 32 - 1]) expect(requireU32(value, "it")).toBe(value);
    for (const value of [-1, 0.5, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => requireU32(value, "a grid's size")).toThrow(RangeError);
      expect(() => requireU32(value, "a grid's size")).toThrow(`Cannot use ${value} as a grid's size`);
    }
    for (const value of ["1", null, undefined, 1n, {}]) {
      expect(() => requireU32(value as number, "it")).toThrow(TypeError);
    }
  });
});

describe("requireSize", () => {
  test("requireSize() takes whole numbers that a double holds exactly", () => {
    for (const value of [0, 2 ** 32, 2 ** 53 - 1]) expect(requireSize(value, "it")).toBe(value);
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => requireSize(value, "it")).toThrow(RangeError);
    }
  });
});

describe("requireNumber", () => {
  test("requireNumber() leaves the judgement of numbers to the bridge", () => {
    expect(requireNumber(Number.NaN, "it")).toBeNaN();
    expect(() => requireNumber("x" as unknown as number, "a length")).toThrow('Cannot use "x" as a length');
  });
});

describe("requireBytes", () => {
  test("requireBytes() shows the bytes of any view", () => {
    const numbers = Uint16Array.of(1, 2, 3);
    expect([...requireBytes(numbers.subarray(1), "it")]).toEqual([2, 0, 3, 0]);
    expect(() => requireBytes([1] as unknown as Uint8Array, "it")).toThrow(TypeError);
    numbers.buffer.transfer();
    expect(() => requireBytes(numbers, "data")).toThrow("detached");
  });
});

describe("cString", () => {
  test("cString() ends text with a NUL and refuses text that has one", () => {
    expect([...cString("aé", "it")]).toEqual([97, 0xc3, 0xa9, 0]);
    expect(() => cString("a\0b", "a path")).toThrow("a path");
    expect(() => cString(5 as unknown as string, "it")).toThrow(TypeError);
  });
});
