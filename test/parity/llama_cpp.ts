/**
 * llama.cpp as node-llama-cpp builds it, by its lowest bindings: the addon of the package for this platform. They are
 * called directly, so that nothing is built, downloaded or chosen at run time. The package's version is fixed; what is
 * declared here is only what the checks of this directory use.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** A model of the addon. */
export interface AddonModel {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  /** Tokens of a text, with no BOS and no EOS around them. */
  tokenize(text: string, parseSpecial: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, special: boolean): string;
  tokenBos(): number;
  tokenEos(): number;
  isEogToken(token: number): boolean;
  shouldPrependBosToken(): boolean;
  shouldAppendEosToken(): boolean;
}

interface Addon {
  readonly AddonModel: new (
    path: string,
    options: { readonly vocabOnly: boolean; readonly gpuLayers: number; readonly addonExports: Addon },
  ) => AddonModel;
  readonly AddonJinjaRenderer: new (
    template: string,
  ) => { render(variables: Readonly<Record<string, unknown>>): string };
  setLogger(log: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  loadBackends(directory?: string): void;
  init(): Promise<void>;
}

const packages: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
};

/** Errors and nothing less. */
const LOG_ERRORS = 2;

let opened: Promise<Addon> | undefined;

async function open(): Promise<Addon> {
  const platform = `${process.platform}-${process.arch}`;
  const name = packages[platform];
  if (name === undefined) throw new Error(`There is no package of llama.cpp for "${platform}"`);
  const require = createRequire(import.meta.url);
  const bins = join(dirname(require.resolve(`@node-llama-cpp/${name}/package.json`)), "bins", name);
  const path = join(bins, "llama-addon.node");
  if (!existsSync(path)) throw new Error(`There is no "${path}"; run make parity, which installs it`);
  const addon = require(path) as Addon;
  addon.setLogger((level, message) => {
    if (level <= LOG_ERRORS) console.error(`llama.cpp: ${message.trimEnd()}`);
  });
  addon.setLoggerLogLevel(LOG_ERRORS);
  addon.loadBackends();
  addon.loadBackends(bins);
  await addon.init();
  return addon;
}

/** Loads a model's vocabulary. The caller disposes of the model. */
export async function loadVocabulary(path: string): Promise<AddonModel> {
  opened ??= open();
  const addon = await opened;
  const model = new addon.AddonModel(path, { vocabOnly: true, gpuLayers: 0, addonExports: addon });
  if (!(await model.init())) throw new Error(`llama.cpp does not load "${path}"`);
  return model;
}

/** Renders a template with llama.cpp's own Jinja. */
export async function renderJinja(
  template: string,
  variables: Readonly<Record<string, unknown>>,
): Promise<string> {
  opened ??= open();
  const { AddonJinjaRenderer } = await opened;
  return new AddonJinjaRenderer(template).render(variables);
}
