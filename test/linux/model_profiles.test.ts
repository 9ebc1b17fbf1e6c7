// The same plan on devices that differ: the same text, or a reason.
import { afterAll, describe, expect, test } from "bun:test";
import { austen, Bundle, prose } from "../model/models.ts";
import { Session } from "../model/session.ts";

const bundle = new Bundle();
const model = bundle.copy(austen);
bundle.export(model, "cpu.bmplan", { target: "cpu", contextLength: 128, maxBufferLength: 2 << 20 });
bundle.export(model, "apple.bmplan", { target: "apple", contextLength: 128, maxBufferLength: 2 << 20 });
bundle.export(model, "pages.bmplan", {
  target: "cpu",
  contextLength: 128,
  maxBufferLength: 2 << 20,
  pageSize: 4096,
});

afterAll(() => bundle[Symbol.dispose]());

async function write(
  plan: string,
  environment: Readonly<Record<string, string>>,
  disabled = 0,
): Promise<string> {
  await using session = new Session(environment);
  await session.expect(`open ${bundle.path} ${plan} ${disabled}`);
  await session.prompt(prose.slice(0, 80));
  const { text } = await session.next(12);
  await session.expect("close");
  expect(await session.live()).toMatchObject({ handles: 0, bytes: 0, inFlight: 0, withoutPool: 0 });
  return text;
}

async function refusal(plan: string, environment: Readonly<Record<string, string>>): Promise<string> {
  await using session = new Session(environment);
  const failure = await session.refusal(bundle.path, plan);
  expect(await session.live()).toMatchObject({ handles: 0, bytes: 0 });
  return `${failure?.error} ${failure?.message}`;
}

describe("a plan", () => {
  test("gives the same text wherever it can run", async () => {
    const expected = await write("cpu.bmplan", {});
    expect(expected.length).toBeGreaterThan(20);
    expect(await write("pages.bmplan", {})).toBe(expected);
    for (const profile of ["apple9", "apple7", "old-ios"]) {
      expect(await write("apple.bmplan", { BUN_METAL_CPU_PROFILE: profile }), profile).toBe(expected);
    }
    // Weights that are copied, where memory is not shared or files are not mapped.
    expect(await write("cpu.bmplan", { BUN_METAL_CPU_PROFILE: "intel-discrete" })).toBe(expected);
    expect(await write("cpu.bmplan", { BUN_METAL_CPU_REFUSE: "nocopy" })).toBe(expected);
    // Without what makes work faster.
    expect(await write("cpu.bmplan", {}, 63)).toBe(expected);
  });

  test("is refused where it cannot, with the reason", async () => {
    expect(await refusal("apple.bmplan", { BUN_METAL_CPU_PROFILE: "intel-discrete" })).toMatch(
      /^7 .*simdgroup_matrix/,
    );
    expect(await refusal("apple.bmplan", { BUN_METAL_CPU_PROFILE: "simulator" })).toMatch(/^7 /);
    const small = await refusal("cpu.bmplan", { BUN_METAL_CPU_MAX_BUFFER: "1048576" });
    expect(small).toMatch(/^4 .*export it with this as --max-buffer/);
  });
});
