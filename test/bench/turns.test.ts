// Generation in turn: the table that comes of it.
import { expect, test } from "bun:test";
import { turnsTable } from "./turns.ts";

test("the ratio is the median of those of the rounds, with quartiles", () => {
  const ours = [10, 22, 30, 44, 60];
  const theirs = [10, 20, 25, 40, 40]; // 1, 1.1, 1.2, 1.1, 1.5
  const [, , row] = turnsTable([{ model: "small", ours, theirs }]).split("\n");
  expect(row).toBe("| small | 5 | 30.0 (10.0 .. 60.0) | 25.0 (10.0 .. 40.0) | 1.10 (1.10 .. 1.20) |");
});
