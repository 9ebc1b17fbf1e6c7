/**
 * Choosing tokens from logits, and taking what was chosen as tokens again, in memory that outlives a run: so the next run can
 * be submitted before anyone knows what this one chooses.
 */

import type { WordLimit } from "../limits.ts";
import { type Dispatch, type KernelTarget, Operation } from "../operation.ts";
import { maximum, rowLength } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { Operands } from "./check.ts";
import { groupPerRow, ONE_GROUP, packArguments, reductionThreads } from "./launch.ts";

/** Words of a choice: SampleChoice of shaders/sample.metal. */
const CHOICE_WORDS = 7;
/** Words of what was chosen: Chosen of shaders/sample.metal. */
const CHOSEN_WORDS = 3;

/** A token of this number and a place stands for the token that was chosen there (shaders/args.h). */
export const FROM_CHOSEN = 0x8000_0000;

/** chosen[places[r]] = what choices[r] makes of logits[r] */
export class ChooseTokens extends Operation {
  readonly name = "chooseTokens";
  readonly logits: Tensor; // f32 [any, n]
  readonly choices: Tensor; // u32 [rows, CHOICE_WORDS]
  readonly places: Tensor; // u32 [rows]
  readonly candidates: Tensor; // u32 [rows, n], what the kernel lists them in
  readonly chosen: Tensor; // u32 [places, CHOSEN_WORDS]

  constructor(logits: Tensor, choices: Tensor, places: Tensor, candidates: Tensor, chosen: Tensor) {
    super([logits, choices, places], [candidates], [chosen]);
    this.logits = logits;
    this.choices = choices;
    this.places = places;
    this.candidates = candidates;
    this.chosen = chosen;
  }

  override get limits(): readonly WordLimit[] {
    const limit = maximum(this.chosen.shape[0]);
    return [{ kind: "below", operation: this.name, indices: this.places, of: "places of choices", limit }];
  }

  override encode(target: KernelTarget): Dispatch {
    const n = rowLength(this.logits.shape);
    return {
      kernel: "sample_f32",
      bindings: [this.logits, this.choices, this.places, this.candidates, this.chosen],
      args: packArguments(n, maximum(this.chosen.shape[0])),
      grid: [ONE_GROUP, groupPerRow(this.candidates.shape)],
      threads: reductionThreads(n, target),
    };
  }
}

/** out[r] = tokens[r], or the token of chosen[tokens[r] - FROM_CHOSEN] */
export class ChosenTokens extends Operation {
  readonly name = "chosenTokens";
  readonly tokens: Tensor; // u32 [rows]
  readonly chosen: Tensor; // u32 [places, CHOSEN_WORDS]
  readonly out: Tensor; // u32 [rows]

  constructor(tokens: Tensor, chosen: Tensor, out: Tensor) {
    super([tokens, chosen], [out]);
    this.tokens = tokens;
    this.chosen = chosen;
    this.out = out;
  }

  override encode(): Dispatch {
    return {
      kernel: "chosen_tokens",
      bindings: [this.tokens, this.chosen, this.out],
      args: packArguments(maximum(this.chosen.shape[0])),
      grid: [ONE_GROUP, groupPerRow([...this.out.shape, 1])],
      threads: 1,
    };
  }
}

/**
 * Chooses a token for each row of choices from the row of logits of the same number, and leaves it in `chosen`: the token, or
 * 0xFFFFFFFF where the logits are damaged; then how they are, 0 if not; then the first token whose logit shows it.
 *
 * @param logits f32 [any, n], at least as many rows as choices
 * @param choices u32 [rows, 7]: words of `src/sample`
 * @param places u32 [rows]: where in `chosen`. Words or an input; one beyond is an error of the run
 * @param chosen u32 [places, 3], a constant
 */
export function chooseTokens(logits: Tensor, choices: Tensor, places: Tensor, chosen: Tensor): void {
  const operands = new Operands("chooseTokens", { logits, choices, places, chosen });
  operands.requireType("logits", "f32");
  for (const name of ["choices", "places", "chosen"]) operands.requireType(name, "u32");
  for (const name of ["logits", "choices", "chosen"]) operands.requireRank(name, 2);
  operands.requireRank("places", 1);
  operands.requireSameRows("choices", "places");
  operands.requireDimension("choices", 1, CHOICE_WORDS, "words of a choice");
  operands.requireDimension("chosen", 1, CHOSEN_WORDS, "words of what was chosen");
  operands.requireCallerIndices("places");
  operands.requireSeparateMemory("chosen");
  const rows = operands.leading("choices");
  if (maximum(rows) > maximum(operands.leading("logits")))
    throw operands.range("there are more rows of choices than of logits");
  const candidates = operands.owner.result("u32", [rows, operands.fixed("logits", 1)]);
  operands.owner.append(new ChooseTokens(logits, choices, places, candidates, chosen));
}

/**
 * Tokens, of which some may have been chosen on the device.
 *
 * @param tokens u32 [rows]: tokens, or FROM_CHOSEN and a place in `chosen`
 * @param chosen u32 [places, 3], the constant that `chooseTokens` writes
 * @returns u32 [rows]; 0xFFFFFFFF where there is no such place
 */
export function chosenTokens(tokens: Tensor, chosen: Tensor): Tensor {
  const operands = new Operands("chosenTokens", { tokens, chosen });
  operands.requireType("tokens", "u32");
  operands.requireType("chosen", "u32");
  operands.requireRank("tokens", 1);
  operands.requireRank("chosen", 2);
  operands.requireDimension("chosen", 1, CHOSEN_WORDS, "words of what was chosen");
  const out = operands.owner.result("u32", [operands.leading("tokens")]);
  operands.owner.append(new ChosenTokens(tokens, chosen, out));
  return out;
}
