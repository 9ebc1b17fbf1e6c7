/**
 * Mixtures of experts: a router scores all experts for each row, the best few compute it, and the softmax of their scores
 * weighs what they give. Mixtral takes the softmax of the chosen scores (Jiang et al. 2024, 2.1); Qwen 3 takes that of all
 * and divides by the sum of the chosen (`norm_topk_prob` of its configuration), which is the same.
 */
import type { Architecture } from "./architecture.ts";
import { llama } from "./llama.ts";
import { qwen3 } from "./qwen3.ts";

export const mixtral: Architecture = { ...llama, feedForward: "experts" };

export const qwen3moe: Architecture = { ...qwen3, name: "qwen3moe", feedForward: "experts" };
