/*
 * tokens.h: preprocessed MSL as tokens, with the file and line that each came from.
 *
 * The input is the output of `clang -E`: no comments, no macros, only line markers and pragmas. Brackets are matched
 * here once, so that nothing later has to count them and nothing recurses over hostile nesting.
 */
#ifndef BUN_METAL_CPU_TOKENS_H
#define BUN_METAL_CPU_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum CpuTokenKind {
  CpuTokenWord,
  CpuTokenNumber,
  CpuTokenString,
  CpuTokenPunctuation,
  CpuTokenEnd
} CpuTokenKind;

typedef struct CpuToken {
  uint32_t start, length; /* in the source */
  uint32_t line;
  uint32_t file;  /* index into the files */
  uint32_t match; /* the other bracket of ( ) [ ] { }; itself for other tokens */
  CpuTokenKind kind;
} CpuToken;

typedef struct CpuTokens {
  const char *source;
  size_t length;
  CpuToken *tokens; /* ends with one of kind CpuTokenEnd */
  uint32_t count;   /* without that */
  char **files;
  uint32_t fileCount;
} CpuTokens;

/** Cuts `source` (kept by the caller) into tokens. Returns NULL, or a malloc'ed message. Free with cpuTokensFree. */
char *cpuTokensRead(CpuTokens *out, const char *source, size_t length);
void cpuTokensFree(CpuTokens *tokens);

/** Whether token i is exactly this text. False past the end. */
bool cpuTokenIs(const CpuTokens *tokens, uint32_t i, const char *text);
bool cpuTokenIsWord(const CpuTokens *tokens, uint32_t i);

/** Whether token i is one of a NULL-terminated list. */
bool cpuTokenIsOneOf(const CpuTokens *tokens, uint32_t i, const char *const *list);

/** A malloc'ed copy of tokens [from, to), separated by blanks. */
char *cpuTokensCopy(const CpuTokens *tokens, uint32_t from, uint32_t to);

/** The `>` that closes the `<` at token i; 0 if there is none before a `;` or a `{`. ">>" is two tokens here. */
uint32_t cpuTokensCloseAngle(const CpuTokens *tokens, uint32_t i);

#endif
