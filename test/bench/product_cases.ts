/** Which products are measured: types, shapes, rows, and what a kernel does besides. */
import { type WeightDType, weightDTypes } from "../../src/tensor/index.ts";
import { shapes } from "./models.ts";
import { chooseAll, OptionError } from "./options.ts";

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

/** The products of a token; those of more rows have neither norm nor gate. */
function productsOf(model: "1.1b" | "8b"): readonly ProductShape[] {
  const { dim, heads, kvHeads, headLength, hidden, vocabulary } = shapes[model];
  const [attended, kept] = [heads * headLength, kvHeads * headLength];
  return [
    { name: `${model} q, k, v`, k: dim, n: attended, form: "norm", also: [kept, kept] },
    { name: `${model} output`, k: attended, n: dim, form: "residual" },
    { name: `${model} gate, up`, k: dim, n: hidden, form: "gated" },
    { name: `${model} down`, k: hidden, n: dim, form: "residual" },
    { name: `${model} logits`, k: dim, n: vocabulary, form: "norm" },
  ];
}

const models: ReadonlyMap<string, readonly ProductShape[]> = new Map([
  ["1.1b", productsOf("1.1b")],
  ["8b", productsOf("8b")],
]);

/** Outputs behind which nobody multiplies whole prompts: of a prompt, the last row alone has logits. */
const LOGITS_OUTPUTS = 30000;

/**
 * All cases of comma-separated lists. A shape is a model's name or `KxN`, which is taken in all forms that are asked for.
 *
 * @throws {OptionError} If a word is unknown
 */
export function readCases(lists: {
  readonly types: string;
  readonly shapes: string;
  readonly rows: string;
  readonly forms?: string | undefined;
}): ProductCase[] {
  const wanted = lists.forms === undefined ? undefined : chooseAll("forms", lists.forms, forms);
  const wantedShapes = lists.shapes.split(",").flatMap((word) => shapesOf(word.trim(), wanted));
  return chooseAll("types", lists.types, weightDTypes).flatMap((type) =>
    lists.rows.split(",").flatMap((text) => {
      const rows = Number(text);
      if (!(Number.isInteger(rows) && rows >= 1 && rows <= 65536))
        throw new OptionError(`--rows has whole numbers from 1 to 65536, not "${text}"`);
      if (rows === 1) return wantedShapes.map((shape) => ({ ...shape, type, rows }));
      const seen = new Set<string>();
      return wantedShapes.flatMap(({ name, k, n, also = [] }) =>
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
  const known = models.get(word);
  if (known !== undefined) return known.filter(({ form }) => wanted?.includes(form) ?? true);
  const [k, n] = word.split("x").map(Number);
  if (!(k >= 32 && n >= 1 && Number.isInteger(k) && Number.isInteger(n)))
    throw new OptionError(
      `--shapes knows ${[...models.keys()].join(", ")} and KxN as 4096x14336, not "${word}"`,
    );
  return (wanted ?? ["residual"]).map((form) => ({ name: word, k, n, form }));
}
