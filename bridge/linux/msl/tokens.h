/*
 * tokens.h: preprocessed MSL as tokens, with the file and line that each came from.
 *
 * The input is the output of `clang -E`: no comments, no macros, only line markers and pragmas. Brackets are matched
 * here once, so that nothing later has to count them and nothing recurses over hostile nesting.
 */
#ifndef BUN_METAL_MSL_TOKENS_H
#define BUN_METAL_MSL_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum MslTokenKind {
  MslTokenWord,
  MslTokenNumber,
  MslTokenString,
  MslTokenPunctuation,
  MslTokenEnd
} MslTokenKind;

typedef struct MslToken {
  uint32_t start, length; /* in the source */
  uint32_t line;
  uint32_t file;  /* index into the files */
  uint32_t match; /* the other bracket of ( ) [ ] { }; itself for other tokens */
  MslTokenKind kind;
} MslToken;

typedef struct MslTokens {
  const char *source;
  size_t length;
  MslToken *tokens; /* ends with one of kind MslTokenEnd */
  uint32_t count;   /* without that */
  char **files;
  uint32_t fileCount;
} MslTokens;

/** Cuts `source` (kept by the caller) into tokens. Returns NULL, or a malloc'ed message. Free with mslTokensFree. */
char *mslTokensRead(MslTokens *out, const char *source, size_t length);
void mslTokensFree(MslTokens *tokens);

/** Whether token i is exactly this text. False past the end. */
bool mslTokenIs(const MslTokens *tokens, uint32_t i, const char *text);
bool mslTokenIsWord(const MslTokens *tokens, uint32_t i);

/** Whether token i is one of a NULL-terminated list. */
bool mslTokenIsOneOf(const MslTokens *tokens, uint32_t i, const char *const *list);

/** A malloc'ed copy of tokens [from, to), separated by blanks. */
char *mslTokensCopy(const MslTokens *tokens, uint32_t from, uint32_t to);

/** The `>` that closes the `<` at token i; 0 if there is none before a `;` or a `{`. ">>" is two tokens here. */
uint32_t mslTokensCloseAngle(const MslTokens *tokens, uint32_t i);

#endif
