/** What suites of misuse expect of an error. */
import { expect } from "bun:test";
import { loadBridge, statusNames } from "../../src/ffi/index.ts";
import { BridgeError, type BridgeErrorCode } from "../../src/runtime/index.ts";

/** The error that `action` throws. */
export function errorOf(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("Nothing was refused");
}

/** Expects a BridgeError with one of the codes, and a message that matches. */
export function expectRefused(
  action: () => unknown,
  codes: readonly BridgeErrorCode[],
  message: RegExp = /./,
): void {
  const error = errorOf(action);
  expect(error).toBeInstanceOf(BridgeError);
  expect(codes).toContain((error as BridgeError).code);
  expect(error.message).toMatch(message);
  expect(error.message).toMatch(/^Cannot \S+ .*: \S/s);
}

/** The name of the failure that a raw call left on this thread. */
export function lastCode(): string {
  return statusNames[loadBridge().symbols.bm_error_code()];
}
