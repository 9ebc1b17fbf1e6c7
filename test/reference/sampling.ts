/** The sampling steps as their definitions say, on sorted arrays of float64 probabilities. */

export interface ReferenceOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
}

/** Divides logits above 0 of recent tokens by the penalty and multiplies those below. */
export function penalise(
  logits: readonly number[],
  history: readonly number[],
  penalty: number,
  lastN: number,
): number[] {
  const recent = new Set(history.slice(Math.max(0, history.length - lastN)));
  return logits.map((logit, id) => {
    if (!recent.has(id)) return logit;
    return logit > 0 ? logit / penalty : logit * penalty;
  });
}

/** Returns the probability with which each token is chosen: top-k, top-p, min-p, then temperature. */
export function distribution(logits: readonly number[], options: ReferenceOptions): number[] {
  const { temperature, topK, topP, minP } = options;
  let kept = logits.map((logit, id) => ({ id, logit })).sort((a, b) => b.logit - a.logit || a.id - b.id);
  if (topK > 0) kept = kept.slice(0, topK);

  const softmax = (temperature: number): number[] => {
    const weights = kept.map(({ logit }) =>
      Math.exp((logit - Math.max(...kept.map((k) => k.logit))) / temperature),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / sum);
  };

  if (topP < 1) {
    let sum = 0;
    const probabilities = softmax(1);
    const end = probabilities.findIndex((probability) => {
      sum += probability;
      return sum >= topP;
    });
    kept = kept.slice(0, end + 1 || kept.length);
  }
  if (minP > 0) {
    const probabilities = softmax(1);
    const most = Math.max(...probabilities);
    kept = kept.filter((_, i) => (probabilities[i] ?? 0) >= minP * most);
  }
  const result = logits.map(() => 0);
  const chosen = softmax(temperature);
  kept.forEach(({ id }, i) => {
    result[id] = chosen[i] ?? 0;
  });
  return result;
}
