/** Chats as text: by the template of the model's file, or by that of the family that its tokens tell. */
import { BoundedTemplate, ChatTemplateError } from "./jinja.ts";

/** A message of a chat. Templates may ask for more than role and content: `tool_calls`, `reasoning_content` and so on. */
export interface ChatMessage {
  /** `"system"`, `"user"`, `"assistant"` or what else the template knows. */
  readonly role: string;
  /** Text; for some templates a list of parts. */
  readonly content: unknown;
  readonly [field: string]: unknown;
}

export interface ChatOptions {
  /** Whether the text ends where the assistant is to go on. Default: true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Tools that the model may call, in the form that the template asks for. */
  readonly tools?: readonly unknown[] | undefined;
  /** Other variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** A template to use instead of the file's. */
  readonly template?: string | undefined;
  /** What the template takes for the time. Default: now. */
  readonly now?: Date | undefined;
}

/** What a template is told of the vocabulary. */
export interface ChatTokens {
  readonly bos: string | undefined;
  readonly eos: string | undefined;
  /** Whether there is a token of this text. */
  has(text: string): boolean;
}

const chatMl =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Templates for files without one, by the tokens that tell the family. */
const fallbacks: readonly { readonly tokens: readonly string[]; readonly template: string }[] = [
  { tokens: ["<|im_start|>", "<|im_end|>"], template: chatMl },
  {
    tokens: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    template:
      "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' +" +
      " message.content | trim + '<|eot_id|>' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
  },
  {
    // Gemma has no role for the system: its text comes before the first message.
    tokens: ["<start_of_turn>", "<end_of_turn>"],
    template:
      "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}" +
      "{% if message.role == 'system' %}{% set ns.system = message.content | trim + '\\n\\n' %}{% else %}" +
      "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' + ns.system +" +
      " message.content | trim + '<end_of_turn>\\n' }}{% set ns.system = '' %}{% endif %}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
  },
  {
    tokens: ["<|user|>", "<|assistant|>", "<|end|>"],
    template:
      "{% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}{% endfor %}" +
      "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
  },
  {
    tokens: ["[INST]", "[/INST]"],
    template:
      "{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}" +
      "{% if message.role == 'system' %}{% set ns.system = message.content + '\\n\\n' %}" +
      "{% elif message.role == 'user' %}{{ '[INST]' + ns.system + message.content + '[/INST]' }}{% set ns.system = '' %}" +
      "{% else %}{{ message.content + eos_token }}{% endif %}{% endfor %}",
  },
  {
    // A model that was made for no chat: plain text, which most continue well.
    tokens: [],
    template:
      "{{ bos_token }}{% for message in messages %}{{ message.role | capitalize + ': ' + message.content | trim + '\\n\\n' }}" +
      "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
  },
];

/** Returns the template for a vocabulary whose file has none. */
function fallbackFor(tokens: ChatTokens): string {
  const family = fallbacks.find((candidate) => candidate.tokens.every((text) => tokens.has(text)));
  return family?.template ?? chatMl;
}

/** Turns chats into text. It reads its template once, when the first chat comes. */
export class ChatFormatter {
  readonly #source: string;
  readonly #tokens: ChatTokens;
  #template: BoundedTemplate | undefined;

  /** @param source The file's template, if it has one. */
  constructor(source: string | undefined, tokens: ChatTokens) {
    this.#source = source ?? fallbackFor(tokens);
    this.#tokens = tokens;
  }

  /** @throws {ChatTemplateError} If the template cannot be read or applied, or refuses the messages. */
  format(messages: readonly ChatMessage[], options: ChatOptions): string {
    if (messages.length === 0)
      throw new ChatTemplateError(
        "Cannot apply the chat template: there are no messages; give it one at least",
      );
    this.#template ??= new BoundedTemplate(this.#source);
    const template = options.template === undefined ? this.#template : new BoundedTemplate(options.template);
    const variables = {
      ...options.variables,
      messages,
      add_generation_prompt: options.addGenerationPrompt ?? true,
      bos_token: this.#tokens.bos ?? "",
      eos_token: this.#tokens.eos ?? "",
      ...(options.tools === undefined ? {} : { tools: options.tools }),
    };
    return template.render(variables, options.now ?? new Date());
  }
}

/** Noncharacters, which no text has that is for others to read (Unicode 15, section 23.7). */
const marks: readonly string[] = Array.from({ length: 32 }, (_, i) => String.fromCodePoint(0xfdd0 + i));

/** Returns a character that is nowhere in the messages. */
export function unusedMark(messages: readonly ChatMessage[]): string {
  const text = JSON.stringify(messages);
  const mark = marks.find((candidate) => !text.includes(candidate));
  if (mark !== undefined) return mark;
  throw new ChatTemplateError(
    "Cannot encode the chat: its messages have all of the noncharacters U+FDD0 to U+FDEF",
  );
}

/**
 * Returns the same messages, with a mark inside of whatever looks like a control token in the text that they say, so that
 * it is not taken for one. Roles and names of fields are the caller's and stay.
 */
export function markSpecial(
  messages: readonly ChatMessage[],
  control: readonly string[],
  mark: string,
): ChatMessage[] {
  const marked = (value: unknown): unknown => {
    if (typeof value === "string") {
      return control.reduce((text, token) => {
        const [first = "", ...rest] = token;
        return text.includes(token) ? text.replaceAll(token, () => first + mark + rest.join("")) : text;
      }, value);
    }
    if (Array.isArray(value)) return value.map(marked);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, marked(inner)]));
  };
  return messages.map((message) => ({ ...(marked(message) as ChatMessage), role: message.role }));
}
