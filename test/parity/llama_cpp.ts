/** llama.cpp's tokenizers and templates. What is declared here is only what the checks of this directory use. */
import { type Addon, openAddon } from "./addon.ts";

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

interface TextAddon extends Addon {
  readonly AddonModel: new (
    path: string,
    options: { readonly vocabOnly: boolean; readonly gpuLayers: number; readonly addonExports: TextAddon },
  ) => AddonModel;
  readonly AddonJinjaRenderer: new (
    template: string,
  ) => { render(variables: Readonly<Record<string, unknown>>): string };
}

/** Loads a model's vocabulary. The caller disposes of the model. */
export async function loadVocabulary(path: string): Promise<AddonModel> {
  const addon = await openAddon<TextAddon>();
  const model = new addon.AddonModel(path, { vocabOnly: true, gpuLayers: 0, addonExports: addon });
  if (!(await model.init())) throw new Error(`llama.cpp does not load "${path}"`);
  return model;
}

/** Renders a template with llama.cpp's own Jinja. */
export async function renderJinja(
  template: string,
  variables: Readonly<Record<string, unknown>>,
): Promise<string> {
  const { AddonJinjaRenderer } = await openAddon<TextAddon>();
  return new AddonJinjaRenderer(template).render(variables);
}
