/** What makes a choice impossible: logits that show that the model's arithmetic went wrong. */

/** FaultNaN, FaultInfinity and FaultNothing of shaders/args.h. */
export const faults = { nan: 1, infinity: 2, nothing: 3 } as const;

export type Fault = (typeof faults)[keyof typeof faults];

/** The error for a fault. `id`: the first token that has it; `count`: of all logits. */
export function faultError(fault: Fault, id: number, count: number): RangeError {
  if (fault === faults.nothing) {
    return new RangeError(`Cannot choose a token: none of the ${count} logits is above -Infinity`);
  }
  const value = fault === faults.nan ? "NaN" : "Infinity";
  return new RangeError(
    `Cannot choose a token: the logit of token ${id} is ${value}; the model's output is damaged`,
  );
}
