// What the bridge's failures become.
import { describe, expect, test } from "bun:test";
import type { Symbols } from "../../src/ffi/abi.ts";
import {
  BridgeError,
  CompileError,
  failure,
  parseDiagnostics,
  ReleasedError,
  readText,
} from "../../src/ffi/status.ts";

/** A C function that returns text the way the bridge's do. */
function textSource(text: string): (out: Uint8Array, capacity: number) => number {
  const bytes = new TextEncoder().encode(text);
  return (out, capacity) => {
    if (capacity > 0) {
      const part = bytes.subarray(0, capacity - 1);
      out.set(part);
      out[part.length] = 0;
    }
    return bytes.length;
  };
}

function failed(code: number, message: string): BridgeError {
  const copy = textSource(message);
  const symbols = { bm_error_code: () => code, bm_error_message: copy } as unknown as Symbols;
  return failure(symbols, "Cannot do it");
}

describe("failure", () => {
  test("failure() makes an error with the code and both sentences", () => {
    const error = failed(3, "offset 10 is past the end");
    expect(error).toBeInstanceOf(BridgeError);
    expect([error.name, error.code]).toEqual(["BridgeError", "range"]);
    expect(error.message).toBe("Cannot do it: offset 10 is past the end");
  });

  test("failure() is internal for a status that nobody knows, or none", () => {
    expect(failed(99, "").code).toBe("internal");
    expect(failed(0, "").code).toBe("internal");
    expect(failed(0, "").message).toBe("Cannot do it");
  });

  test("failure() reads a compiler's messages", () => {
    const error = failed(5, "mine.metal:3:14: error: expected ';'\nmine.metal:9:1: warning: unused\n1 error");
    expect(error).toBeInstanceOf(CompileError);
    expect((error as CompileError).diagnostics).toEqual([
      { file: "mine.metal", line: 3, column: 14, severity: "error", message: "expected ';'" },
      { file: "mine.metal", line: 9, column: 1, severity: "warning", message: "unused" },
    ]);
  });
});

describe("parseDiagnostics", () => {
  test("parseDiagnostics() takes lines without a column, and none that are no messages", () => {
    expect(parseDiagnostics("a.metal:7: fatal error: gone\nnothing here\n  7 | int x")).toEqual([
      { file: "a.metal", line: 7, column: undefined, severity: "error", message: "gone" },
    ]);
  });
});

describe("readText", () => {
  test("readText() reads text of any length, whole", () => {
    for (const length of [0, 1, 510, 511, 512, 513, 5000]) {
      const text = "é".repeat(length / 2) + "x".repeat(length % 2);
      expect(readText(textSource(text))).toBe(text);
    }
  });
});

describe("ReleasedError", () => {
  test("ReleasedError is a ReferenceError", () => {
    expect(new ReleasedError("gone")).toBeInstanceOf(ReferenceError);
    expect(new ReleasedError("gone").name).toBe("ReleasedError");
  });
});
