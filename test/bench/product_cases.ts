/** Which products are measured: types, shapes, rows, and what a kernel does besides. */
import { type WeightDType, weightDTypes } from "../../src/tensor/index.ts";

/**
 * What a product of one row does besides: `plain` is the kernel without its neighbours; the others are what models run,
 * the norm before it, a residual added behind it, or the norm, two matrices and the gate of a feed-forward block.
 */
export const forms = ["plain", "norm", "residual", "gated"] as const;
export type Form = (typeof forms)[number];

/** A weight matrix as files have it: rows of k elements, one for each of n outputs. */
export type ProductShape = {
  readonly name: string;
  readonly k: number;
  readonly n: number;
  readonly form: Form;
  /** Outputs of further matrices of the same x, side by side with the first. */
  readonly also?: readonly number[];
};

export type ProductCase = ProductShape & { readonly type: WeightDType; readonly rows: number };

/** The products of a token, by model; those of more rows have neither norm nor gate. */
const models: Readonly<Record<string, readonly ProductShape[]>> = {
  "1.1b": [
    { name: "1.1b q, k, v", k: 2048, n: 2048, form: "norm", also: [256, 256] },
    { name: "1.1b output", k: 2048, n: 2048, form: "residual" },
    { name: "1.1b gate, up", k: 2048, n: 5632, form: "gated" },
    { name: "1.1b down", k: 5632, n: 2048, form: "residual" },
    { name: "1.1b logits", k: 2048, n: 32000, form: "norm" },
  ],
  "8b": [
    { name: "8b q, k, v", k: 4096, n: 4096, form: "norm", also: [1024, 1024] },
    { name: "8b output", k: 4096, n: 4096, form: "residual" },
    { name: "8b gate, up", k: 4096, n: 14336, form: "gated" },
    { name: "8b down", k: 14336, n: 4096, form: "residual" },
    { name: "8b logits", k: 4096, n: 128256, form: "norm" },
  ],
};

/** Outputs behind which nobody multiplies whole prompts: of a prompt, the last row alone has logits. */
const LOGITS_OUTPUTS = 30000;

export class CaseError extends Error {
  override readonly name = "CaseError";
}

/**
 * All cases of comma-separated lists. A shape is a model's name or `KxN`, which is taken in all forms that are asked for.
 *
 * @throws {CaseError} If a word is unknown
 */
export function readCases(lists: {
  readonly types: string;
  readonly shapes: string;
  readonly rows: string;
  readonly forms?: string | undefined;
}): ProductCase[] {
  const wanted = lists.forms === undefined ? undefined : words("forms", lists.forms, forms);
  const shapes = lists.shapes.split(",").flatMap((word) => shapesOf(word.trim(), wanted));
  return words("types", lists.types, weightDTypes).flatMap((type) =>
    lists.rows.split(",").flatMap((text) => {
      const rows = Number(text);
      if (!(Number.isInteger(rows) && rows >= 1 && rows <= 65536))
        throw new CaseError(`--rows has whole numbers from 1 to 65536, not "${text}"`);
      if (rows === 1) return shapes.map((shape) => ({ ...shape, type, rows }));
      const seen = new Set<string>();
      return shapes.flatMap(({ name, k, n, also = [] }) =>
        [n, ...also].flatMap((outputs): ProductCase[] => {
          const key = `${k}x${outputs}`;
          if (outputs >= LOGITS_OUTPUTS || seen.has(key)) return [];
          seen.add(key);
          return [{ name, k, n: outputs, form: "plain", type, rows }];
        }),
      );
    }),
  );
}

function shapesOf(word: string, wanted: readonly Form[] | undefined): readonly ProductShape[] {
  const known = models[word];
  if (known !== undefined) return known.filter(({ form }) => wanted?.includes(form) ?? true);
  const [k, n] = word.split("x").map(Number);
  if (!(k >= 32 && n >= 1 && Number.isInteger(k) && Number.isInteger(n)))
    throw new CaseError(
      `--shapes knows ${Object.keys(models).join(", ")} and KxN as 4096x14336, not "${word}"`,
    );
  return (wanted ?? ["residual"]).map((form) => ({ name: word, k, n, form }));
}

function words<Name extends string>(option: string, text: string, known: readonly Name[]): Name[] {
  return text.split(",").map((word) => {
    const found = known.find((name) => name === word.trim());
    if (found === undefined) throw new CaseError(`--${option} knows ${known.join(", ")}, not "${word}"`);
    return found;
  });
}
