/** The architectures that this library runs, each described in a file of its own. */
import { ModelError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import { gemma, gemma2, gemma3 } from "./gemma.ts";
import { llama } from "./llama.ts";
import { mixtral, qwen3moe } from "./mixture.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";

export type { Architecture } from "./architecture.ts";

const architectures: readonly Architecture[] = [
  llama,
  mixtral,
  qwen2,
  qwen3,
  qwen3moe,
  gemma,
  gemma2,
  gemma3,
  phi3,
];

/** The values of `general.architecture` that there are. */
export const architectureNames: readonly string[] = [...new Set(architectures.map(({ name }) => name))];

/**
 * The architecture of that name, with or without experts.
 *
 * @throws {ModelError} If there is none.
 */
export function findArchitecture(name: string, expertCount: number): Architecture {
  const named = architectures.filter((architecture) => architecture.name === name);
  if (named.length === 0) {
    const known = architectureNames.map((each) => `"${each}"`).join(", ");
    throw new ModelError(
      "general.architecture",
      `Cannot run a model of architecture "${name}": the known ones are ${known}`,
    );
  }
  const found = named.find(({ feedForward }) => (feedForward === "experts") === expertCount > 0);
  if (found === undefined) {
    const field = `${name}.expert_count`;
    throw new ModelError(field, `Cannot run the model: "${field}" of ${expertCount} is not supported`);
  }
  return found;
}
