/**
 * The chat templates that models publish in their tokenizer_config.json, and what their documentation shows for the
 * conversation below.
 */

/** Two turns, the second one open. */
export const conversation = [
  { role: "user", content: "Hello, how are you?" },
  { role: "assistant", content: "I'm doing great." },
  { role: "user", content: " Show me <b>tea</b> & a 'cup'! " },
] as const;

export const system = { role: "system", content: "You are a pirate." } as const;

export interface PublishedTemplate {
  readonly name: string;
  readonly bos: string;
  readonly eos: string;
  readonly template: string;
  /** The conversation with a generation prompt. */
  readonly expected: string;
  /** The same with the system's message before it; undefined where the model refuses one. */
  readonly withSystem: string | undefined;
}

export const published: readonly PublishedTemplate[] = [
  {
    name: "Llama 2",
    bos: "<s>",
    eos: "</s>",
    template:
      "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    expected:
      "<s>[INST] Hello, how are you? [/INST] I'm doing great. </s><s>[INST] Show me <b>tea</b> & a 'cup'! [/INST]",
    withSystem:
      "<s>[INST] <<SYS>>\nYou are a pirate.\n<</SYS>>\n\nHello, how are you? [/INST] I'm doing great. </s>" +
      "<s>[INST] Show me <b>tea</b> & a 'cup'! [/INST]",
  },
  {
    name: "Llama 3",
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
    template:
      "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    expected:
      "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHello, how are you?<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\nI'm doing great.<|eot_id|>" +
      "<|start_header_id|>user<|end_header_id|>\n\nShow me <b>tea</b> & a 'cup'!<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\n",
    withSystem:
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a pirate.<|eot_id|>" +
      "<|start_header_id|>user<|end_header_id|>\n\nHello, how are you?<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\nI'm doing great.<|eot_id|>" +
      "<|start_header_id|>user<|end_header_id|>\n\nShow me <b>tea</b> & a 'cup'!<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\n",
  },
  {
    name: "Qwen 2",
    bos: "<|endoftext|>",
    eos: "<|im_end|>",
    template:
      "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    expected:
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nHello, how are you?<|im_end|>\n" +
      "<|im_start|>assistant\nI'm doing great.<|im_end|>\n" +
      "<|im_start|>user\n Show me <b>tea</b> & a 'cup'! <|im_end|>\n<|im_start|>assistant\n",
    withSystem:
      "<|im_start|>system\nYou are a pirate.<|im_end|>\n<|im_start|>user\nHello, how are you?<|im_end|>\n" +
      "<|im_start|>assistant\nI'm doing great.<|im_end|>\n" +
      "<|im_start|>user\n Show me <b>tea</b> & a 'cup'! <|im_end|>\n<|im_start|>assistant\n",
  },
  {
    name: "Gemma",
    bos: "<bos>",
    eos: "<eos>",
    template:
      "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
    expected:
      "<bos><start_of_turn>user\nHello, how are you?<end_of_turn>\n<start_of_turn>model\nI'm doing great.<end_of_turn>\n" +
      "<start_of_turn>user\nShow me <b>tea</b> & a 'cup'!<end_of_turn>\n<start_of_turn>model\n",
    withSystem: undefined,
  },
  {
    name: "Phi 3",
    bos: "<s>",
    eos: "<|endoftext|>",
    template:
      "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    expected:
      "<|user|>\nHello, how are you?<|end|>\n<|assistant|>\nI'm doing great.<|end|>\n" +
      "<|user|>\n Show me <b>tea</b> & a 'cup'! <|end|>\n<|assistant|>\n",
    withSystem:
      "<|system|>\nYou are a pirate.<|end|>\n<|user|>\nHello, how are you?<|end|>\n<|assistant|>\nI'm doing great.<|end|>\n" +
      "<|user|>\n Show me <b>tea</b> & a 'cup'! <|end|>\n<|assistant|>\n",
  },
  {
    name: "Mistral",
    bos: "<s>",
    eos: "</s>",
    template:
      "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    expected:
      "<s>[INST] Hello, how are you? [/INST]I'm doing great.</s>[INST]  Show me <b>tea</b> & a 'cup'!  [/INST]",
    withSystem: undefined,
  },
  {
    name: "ChatML",
    bos: "<|im_start|>",
    eos: "<|im_end|>",
    template:
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    expected:
      "<|im_start|>user\nHello, how are you?<|im_end|>\n<|im_start|>assistant\nI'm doing great.<|im_end|>\n" +
      "<|im_start|>user\n Show me <b>tea</b> & a 'cup'! <|im_end|>\n<|im_start|>assistant\n",
    withSystem:
      "<|im_start|>system\nYou are a pirate.<|im_end|>\n<|im_start|>user\nHello, how are you?<|im_end|>\n" +
      "<|im_start|>assistant\nI'm doing great.<|im_end|>\n" +
      "<|im_start|>user\n Show me <b>tea</b> & a 'cup'! <|im_end|>\n<|im_start|>assistant\n",
  },
];

/** Qwen 3's rules for thinking, which its template shares with others: earlier thoughts are left out. */
export const thinking: string = `{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content %}
        {%- if '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if tools %}
    {%- for tool in tools %}
        {{- tool | tojson }}
    {%- endfor %}
{%- endif %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}`;
