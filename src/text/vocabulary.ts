/**
 * A tokenizer's vocabulary as plain values, as GGUF files hold it under `tokenizer.ggml.*`. Token ids are indices into
 * `tokens`.
 */
export interface Vocabulary {
  /** The algorithm: `"llama"` for SentencePiece, `"gpt2"` for byte-level BPE. */
  readonly model: string;
  /** How byte-level BPE first cuts text into words: `"llama-bpe"`, `"qwen2"`... Default: `"default"`. */
  readonly pre?: string | undefined;
  /** Text of each token. */
  readonly tokens: readonly string[];
  /** SentencePiece's score of each token; pairs with the highest score merge first. Default: all 0. */
  readonly scores?: ArrayLike<number> | undefined;
  /** Type of each token, one of `tokenTypes`. Default: all normal. */
  readonly types?: ArrayLike<number> | undefined;
  /** Merges of byte-level BPE, `"left right"`, in order of rank. */
  readonly merges?: readonly string[] | undefined;
  /** Id of the token that begins a text. */
  readonly bos?: number | undefined;
  /** Id of the token that ends a text. */
  readonly eos?: number | undefined;
  /** Id of the token that ends a turn of a conversation. */
  readonly eot?: number | undefined;
  /** Id of the token that ends a message. */
  readonly eom?: number | undefined;
  /** Id of the token for what the vocabulary cannot express. */
  readonly unknown?: number | undefined;
  /** Whether `encode` begins with `bos` unless told otherwise. Default: what the algorithm's models expect. */
  readonly addBos?: boolean | undefined;
  /** Whether `encode` ends with `eos` unless told otherwise. Default: false. */
  readonly addEos?: boolean | undefined;
  /** Whether control tokens take the white space after them, as those of Phi 3 do. Default: false. */
  readonly stripsAfterControl?: boolean | undefined;
  /** How chats are written for the model: a template in Jinja. */
  readonly chatTemplate?: string | undefined;
  /** Whether SentencePiece puts a space before text at the start and after special tokens. Default: true. */
  readonly addSpacePrefix?: boolean | undefined;
}

/** What `Vocabulary.types` means (`llama_token_type` in llama.h). */
export const tokenTypes: TokenTypes = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
};

export interface TokenTypes {
  /** Text. */
  readonly normal: 1;
  /** Stands for what the vocabulary cannot express. */
  readonly unknown: 2;
  /** Steers the model, has no text of its own. */
  readonly control: 3;
  /** Text that is always one token, found before all other rules apply. */
  readonly userDefined: 4;
  readonly unused: 5;
  /** One byte of text, written `<0xNN>`. */
  readonly byte: 6;
}

/**
 * Returns the vocabulary in a GGUF file's metadata.
 *
 * @param metadata Values by key. Only `general.name`, `tokenizer.chat_template` and keys that begin with
 * `tokenizer.ggml.` are read.
 * @throws {TypeError} If a value is missing that every vocabulary has, or is of the wrong kind.
 */
export function vocabularyFromMetadata(metadata: ReadonlyMap<string, unknown>): Vocabulary {
  const get = <T>(name: string, isKind: (value: unknown) => value is T, kind: string): T | undefined => {
    const value = metadata.get(`tokenizer.ggml.${name}`);
    if (value === undefined || isKind(value)) return value;
    throw new TypeError(`Cannot make a tokenizer: "tokenizer.ggml.${name}" of the metadata is not ${kind}`);
  };
  const need = <T>(name: string, value: T | undefined): T => {
    if (value !== undefined) return value;
    throw new TypeError(`Cannot make a tokenizer: the metadata have no "tokenizer.ggml.${name}"`);
  };
  const string = (name: string) => get(name, isString, "a string");
  const strings = (name: string) => get(name, isStrings, "an array of strings");
  const numbers = (name: string) => get(name, isNumbers, "an array of numbers");
  const id = (name: string) => get(`${name}_token_id`, isNumber, "a number");
  const boolean = (name: string) => get(name, isBoolean, "a boolean");
  return {
    model: need("model", string("model")),
    pre: string("pre"),
    tokens: need("tokens", strings("tokens")),
    scores: numbers("scores"),
    types: numbers("token_type"),
    merges: strings("merges"),
    bos: id("bos"),
    eos: id("eos"),
    eot: id("eot"),
    eom: id("eom"),
    unknown: id("unknown"),
    addBos: boolean("add_bos_token"),
    addEos: boolean("add_eos_token"),
    addSpacePrefix: boolean("add_space_prefix"),
    chatTemplate: templateOf(metadata.get("tokenizer.chat_template")),
    // Nothing in the file says so but the model's name. It is how llama.cpp knows it, too.
    stripsAfterControl: /phi-?3/i.test(String(metadata.get("general.name") ?? "")) || undefined,
  };
}

function templateOf(value: unknown): string | undefined {
  if (value === undefined || isString(value)) return value;
  throw new TypeError('Cannot make a tokenizer: "tokenizer.chat_template" of the metadata is not a string');
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isStrings(value: unknown): value is readonly string[] {
  if (!Array.isArray(value)) return false;
  for (const each of value) if (typeof each !== "string") return false;
  return true;
}

function isNumbers(value: unknown): value is ArrayLike<number> {
  if (Array.isArray(value)) return value.every(isNumber);
  if (value instanceof BigInt64Array || value instanceof BigUint64Array || value instanceof DataView)
    return false;
  return ArrayBuffer.isView(value);
}
