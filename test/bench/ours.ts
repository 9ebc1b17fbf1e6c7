// This library in a process of its own, under Bun: started by rounds.ts with a task, prints what it measured.
import { Llama, type LoadOptions, type Sequence } from "../../mod.ts";
import { answerTurns, type Engine, measureApi, measureEngine, type Writer } from "./figures.ts";
import { contextOf, readTask } from "./task.ts";

const task = readTask();
const options: LoadOptions = { kvType: "f16", contextLength: contextOf(task) };

if (task.purpose === "engine") await measureEngine(task, openEngine);
else if (task.purpose === "turns") await answerTurns(task, openEngine);
else await measureApi(task, openWriter);

async function openEngine(): Promise<Engine> {
  const llama = await Llama.load(task.model, options);
  let sequence: Sequence = llama.sequence();
  return {
    about: about(llama),
    async prompt(tokens) {
      sequence[Symbol.dispose]();
      sequence = llama.sequence();
      const last = tokens.length - 1;
      await llama.decode(
        tokens.map((token, position) => ({ token, position, sequence, wantsLogits: position === last })),
      );
    },
    async next(token) {
      await llama.decode([{ token, position: sequence.length, sequence, wantsLogits: true }]);
    },
  };
}

async function openWriter(): Promise<Writer> {
  const llama = await Llama.load(task.model, options);
  return {
    about: about(llama),
    async generate(prompt, maxTokens, onText) {
      const text = llama.generate(prompt, { maxTokens, temperature: 0 });
      for (;;) {
        const step = await text.next();
        if (step.done === true) return step.value.generatedTokens;
        onText();
      }
    },
  };
}

function about({ device, statistics }: Llama): Engine["about"] {
  const { dispatchesPerToken, weightPlacement } = statistics;
  return { runtime: `Bun ${Bun.version}`, device: device.info.name, dispatchesPerToken, weightPlacement };
}
