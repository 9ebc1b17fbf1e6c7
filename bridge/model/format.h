/*
 * format.h: the file format of a compiled model, `.bmplan`. src/llama/export.ts writes it; its names there are alike.
 *
 * All numbers are little-endian. u32, u64 and f32 are what they say; "text" is u32 length, UTF-8 without NUL, and zeros
 * up to a multiple of 4. PLAN_NONE stands for "there is none".
 *
 *   header    u32 PLAN_MAGIC, u32 PLAN_VERSION, u64 length of the file, SHA-256 of all that follows it (32 bytes),
 *             u32 number of sections, u32 0
 *   sections  for each { u32 kind, u32 0, u64 offset, u64 length }; each kind is there once, at a multiple of 16
 *
 *   MODEL      u32 BM_ABI_VERSION, vocabulary, context length (positions), most rows of a step,
 *              positions of a cache block, cache blocks, needs (PLAN_NEEDS_*), threads of a SIMD group,
 *              u64 length of the model file, u64 length of its header, SHA-256 of that header (32 bytes),
 *              SHA-256 of the shaders' source (32 bytes),
 *              text: the model file's name, from the plan's own directory
 *   KERNELS    u32 count, then for each { u32 most threads of a threadgroup, text name }
 *   BUFFERS    u32 count, u32 0, then for each { u32 role, u32 0, u64 offset, u64 length }
 *   DATA       bytes that buffers of role DATA hold
 *   PROGRAMS   u32 count, then for each step, the smallest first:
 *              u32 rows, dynamic words, word of the row number,
 *              first word of tokens, positions, sequences, slots [rows] and of the block table [cache blocks],
 *              word of the number of wanted rows or NONE, first word of the wanted rows or NONE,
 *              number of derived words, number of fixed words, number of program words,
 *              derived words { u32 of: 0 rows, 1 wanted rows; u32 factor; u32 word },
 *              fixed words { u32 value, u32 word },
 *              the program as bun_metal.h describes it, where a pipeline handle is a number of KERNELS, and a buffer
 *              handle one of BUFFERS (BM_DYNAMIC_WORDS stays)
 *   TOKENIZER  u32 algorithm, flags, begin token or NONE, end token or NONE,
 *              u32 counts: tokens, special tokens, end-of-generation tokens, merges, extra symbols, expressions, ranges
 *              u32[tokens + 1]   piece of each token: what it adds to a text; offsets into the bytes
 *              u32[tokens + 1]   key of each token: what becomes it, empty for nothing; offsets into the bytes
 *              f32[tokens]       scores (PLAN_TOKENIZER_SENTENCEPIECE only)
 *              u32[256]          SentencePiece: token of each byte or NONE; BPE: symbol of each byte
 *              { u32 token, u32 PLAN_SPECIAL_* } of each special token, in the order in which they are cut out
 *              u32[special + 1]  their texts; offsets into the bytes
 *              u32[ends]         tokens that end generation
 *              { u32 left, right, merged symbol } of each merge, by rank; symbols below `tokens` are tokens
 *              u32[extra + 1], then u32s: the tokens that stand for each symbol that is no token
 *              u32[expressions]  PLAN_EXPRESSION_*, applied one after the other
 *              u32[ranges]       first character | PLAN_CLASS_* << 24, up to the next range's first
 *              the bytes
 */
#ifndef MODEL_FORMAT_H
#define MODEL_FORMAT_H

enum {
  PLAN_MAGIC = 0x4C504D42, /* "BMPL" */
  PLAN_VERSION = 1,
  PLAN_HEADER_BYTES = 56,
  PLAN_SECTION_BYTES = 24,
  PLAN_SECTION_ALIGNMENT = 16,
  PLAN_DIGEST_AT = 16,
  PLAN_DIGEST_BYTES = 32
};

#define PLAN_NONE 0xFFFFFFFFu

enum {
  PLAN_SECTION_MODEL = 1,
  PLAN_SECTION_KERNELS = 2,
  PLAN_SECTION_BUFFERS = 3,
  PLAN_SECTION_DATA = 4,
  PLAN_SECTION_PROGRAMS = 5,
  PLAN_SECTION_TOKENIZER = 6,
  PLAN_SECTION_COUNT = 6
};

enum { PLAN_NEEDS_SIMDGROUP_MATRIX = 1 };

/** What a buffer holds. */
enum {
  PLAN_BUFFER_WEIGHTS = 1, /* bytes of the model file, from `offset` on */
  PLAN_BUFFER_DATA = 2,    /* bytes of DATA, from `offset` on */
  PLAN_BUFFER_SCRATCH = 3, /* intermediate results */
  PLAN_BUFFER_CACHE = 4,   /* keys and values */
  PLAN_BUFFER_LOGITS = 5   /* f32 [vocabulary], read by the CPU; there is one */
};

enum { PLAN_TOKENIZER_SENTENCEPIECE = 1, PLAN_TOKENIZER_BYTE_PAIR = 2 };

enum {
  PLAN_TOKENIZER_ADDS_BEGIN = 1,
  PLAN_TOKENIZER_ADDS_END = 2,
  PLAN_TOKENIZER_SPACE_PREFIX = 4,
  PLAN_TOKENIZER_IGNORES_MERGES = 8
};

/** A special token that is found only where the caller asks for it; one that takes the white space after it. */
enum { PLAN_SPECIAL_CONTROL = 1, PLAN_SPECIAL_STRIPS_AFTER = 2 };

/** The expressions of src/text/expressions.ts. */
enum {
  PLAN_EXPRESSION_GPT2 = 1,
  PLAN_EXPRESSION_LLAMA3 = 2,
  PLAN_EXPRESSION_QWEN2 = 3,
  PLAN_EXPRESSION_NUMBER = 4,
  PLAN_EXPRESSION_PUNCTUATION = 5,
  PLAN_EXPRESSION_NUMBERS = 6,
  PLAN_EXPRESSION_THREE_DIGITS = 7,
  PLAN_EXPRESSION_TEKKEN = 8,
  PLAN_EXPRESSION_GPT4O = 9,
  PLAN_EXPRESSION_SEED_CODER = 10,
  PLAN_EXPRESSION_LINE_END = 11,
  PLAN_EXPRESSION_ALPHABET_WORD = 12,
  PLAN_EXPRESSION_MARKED_WORD = 13,
  PLAN_EXPRESSION_SPACED_LETTERS = 14,
  PLAN_EXPRESSION_SPACED_PUNCTUATION = 15,
  PLAN_EXPRESSION_TRAILING_SPACE = 16,
  PLAN_EXPRESSION_EAST_ASIAN = 17,
  PLAN_EXPRESSION_UP_TO_THREE_NUMBERS = 18,
  PLAN_EXPRESSION_HAN_AND_KANA = 19,
  PLAN_EXPRESSION_DEEPSEEK3 = 20,
  PLAN_EXPRESSION_LAST = 20
};

/** What a character is; ALPHABET_LETTER is one that src/text/expressions.ts calls so. */
enum {
  PLAN_CLASS_LETTER = 1,
  PLAN_CLASS_NUMBER = 2,
  PLAN_CLASS_WHITE_SPACE = 4,
  PLAN_CLASS_PUNCTUATION = 8,
  PLAN_CLASS_MARK = 16,
  PLAN_CLASS_SYMBOL = 32,
  PLAN_CLASS_ALPHABET_LETTER = 64
};

#endif
