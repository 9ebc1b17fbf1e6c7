// llama.cpp in a process of its own, under Node: started by rounds.ts with a task, prints what it measured. The engine is
// the addon's lowest bindings, called directly; the API is node-llama-cpp's own. What is declared here is what is used.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { answerTurns, type Engine, measureApi, measureEngine, type Writer } from "./figures.ts";
import { contextOf, readTask } from "./task.ts";

type AddonModel = { init(): Promise<boolean> };
type AddonContext = {
  init(): Promise<boolean>;
  initBatch(size: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, wanted: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
};
type Addon = {
  readonly AddonModel: new (
    path: string,
    options: { readonly gpuLayers: number; readonly useMmap: boolean; readonly addonExports: Addon },
  ) => AddonModel;
  readonly AddonContext: new (
    model: AddonModel,
    options: Readonly<Record<string, number | boolean>>,
  ) => AddonContext;
  setLogger(log: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  loadBackends(directory?: string): void;
  init(): Promise<void>;
};

/** What is used of node-llama-cpp. */
type NodeLlamaCpp = {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<{
    loadModel(options: Readonly<Record<string, unknown>>): Promise<{
      createContext(options: Readonly<Record<string, unknown>>): Promise<{ getSequence(): LlamaSequence }>;
    }>;
  }>;
  readonly LlamaCompletion: new (options: {
    readonly contextSequence: LlamaSequence;
  }) => {
    generateCompletion(
      prompt: readonly number[],
      options: Readonly<Record<string, unknown>> & { readonly onToken: (tokens: readonly number[]) => void },
    ): Promise<string>;
  };
};
type LlamaSequence = { clearHistory(): Promise<void> };

/** llama.cpp's own default for both of its batch sizes, and node-llama-cpp's. */
const BATCH = 512;
/** ggml's number of the type. */
const F16 = 1;
/** Errors and nothing less. */
const LOG_ERRORS = 2;

const task = readTask();
const platform = `${process.platform}-${process.arch}`;
const bins = join(task.modules, "@node-llama-cpp", platform, "bins", platform);

if (task.purpose === "api") {
  const entrance = pathToFileURL(join(task.modules, "node-llama-cpp/dist/index.js")).href;
  const library = (await import(entrance)) as NodeLlamaCpp;
  await measureApi(task, () => openWriter(library));
} else {
  const addon = createRequire(import.meta.url)(join(bins, "llama-addon.node")) as Addon;
  await (task.purpose === "engine" ? measureEngine : answerTurns)(task, () => openEngine(addon));
}

async function openEngine(addon: Addon): Promise<Engine> {
  addon.setLogger((level, message) => {
    if (level <= LOG_ERRORS) console.error(`llama.cpp: ${message.trimEnd()}`);
  });
  addon.setLoggerLogLevel(LOG_ERRORS);
  addon.loadBackends();
  addon.loadBackends(bins);
  await addon.init();
  const model = new addon.AddonModel(task.model, { gpuLayers: 0, useMmap: true, addonExports: addon });
  if (!(await model.init())) throw new Error(`llama.cpp does not load "${task.model}"`);
  const context = new addon.AddonContext(model, {
    contextSize: contextOf(task),
    batchSize: BATCH,
    threads: task.threads,
    flashAttention: task.flashAttention,
    kvCacheKeyType: F16,
    kvCacheValueType: F16,
  });
  if (!(await context.init())) throw new Error("llama.cpp made no context");
  let length = 0;
  const feed = async (tokens: readonly number[], wantsLogits: boolean): Promise<void> => {
    context.initBatch(tokens.length);
    const wanted = wantsLogits ? Uint32Array.of(tokens.length - 1) : new Uint32Array(0);
    context.addToBatch(0, length, Uint32Array.from(tokens), wanted);
    await context.decodeBatch();
    length += tokens.length;
  };
  return {
    about: about(),
    async prompt(tokens) {
      if (length > 0 && !context.removeTokenCellsFromSequence(0, 0, -1))
        throw new Error("llama.cpp keeps the last prompt");
      length = 0;
      for (let at = 0; at < tokens.length; at += BATCH)
        await feed(tokens.slice(at, at + BATCH), at + BATCH >= tokens.length);
    },
    next: (token) => feed([token], true),
  };
}

async function openWriter(library: NodeLlamaCpp): Promise<Writer> {
  const llama = await library.getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: task.threads,
    logLevel: "error",
  });
  const model = await llama.loadModel({ modelPath: task.model, gpuLayers: 0, useMmap: true });
  const context = await model.createContext({
    contextSize: contextOf(task),
    batchSize: BATCH,
    threads: task.threads,
    flashAttention: task.flashAttention,
  });
  const sequence = context.getSequence();
  const completion = new library.LlamaCompletion({ contextSequence: sequence });
  return {
    about: about(),
    async generate(prompt, maxTokens, onText) {
      await sequence.clearHistory();
      let generated = 0;
      // Without its start token, which this API puts there itself.
      await completion.generateCompletion(prompt.slice(1), {
        maxTokens,
        temperature: 0,
        repeatPenalty: false,
        onToken: (tokens) => {
          generated += tokens.length;
          onText();
        },
      });
      return generated;
    },
  };
}

/** Versions, and which of the builds of its kernels llama.cpp took, as this process has it in memory. */
function about(): Engine["about"] {
  const { version } = JSON.parse(readFileSync(join(task.modules, "node-llama-cpp/package.json"), "utf8")) as {
    readonly version: string;
  };
  const release = JSON.parse(
    readFileSync(join(task.modules, "node-llama-cpp/llama/llama.cpp.info.json"), "utf8"),
  ) as Readonly<Record<string, string>>;
  return {
    runtime: `Node ${process.versions.node}`,
    "node-llama-cpp": version,
    "llama.cpp": release.tag ?? release.release ?? "unknown",
    kernels: loadedKernels(),
  };
}

function loadedKernels(): string {
  const names = readdirSync(bins).filter((name) => name.includes("ggml-cpu"));
  try {
    const maps = readFileSync("/proc/self/maps", "latin1");
    return names.filter((name) => maps.includes(`/${name}`)).join(" ") || "none of its own";
  } catch {
    return names.join(" ");
  }
}
