/* shader.c: words, errors and edits of a shader; see shader.h. */
#include "shader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MaxErrors = 20 };

static const char *const synchronising[] = {"threadgroup_barrier",
                                            "simdgroup_barrier",
                                            "simdgroup_load",
                                            "simdgroup_store",
                                            "simdgroup_multiply",
                                            "simdgroup_multiply_accumulate",
                                            "make_filled_simdgroup_matrix",
                                            "simdgroup_matrix",
                                            "simdgroup_float8x8",
                                            "simdgroup_half8x8",
                                            NULL};

/** simd_sum, quad_any and whatever else begins like them. */
static bool isSimdFunction(const char *word, size_t length) {
  return length > 5 && (memcmp(word, "simd_", 5) == 0 || memcmp(word, "quad_", 5) == 0);
}

static const char *const builtinTypes[] = {"void",
                                           "bool",
                                           "char",
                                           "uchar",
                                           "short",
                                           "ushort",
                                           "int",
                                           "uint",
                                           "long",
                                           "ulong",
                                           "half",
                                           "float",
                                           "size_t",
                                           "ptrdiff_t",
                                           "unsigned",
                                           "signed",
                                           "int8_t",
                                           "uint8_t",
                                           "int16_t",
                                           "uint16_t",
                                           "int32_t",
                                           "uint32_t",
                                           "int64_t",
                                           "uint64_t",
                                           "atomic_int",
                                           "atomic_uint",
                                           "atomic_bool",
                                           "atomic_float",
                                           "atomic_ulong",
                                           "simdgroup_float8x8",
                                           "simdgroup_half8x8",
                                           NULL};
static const char *const vectorElements[] = {"char", "uchar", "short", "ushort", "int", "uint",
                                             "long", "ulong", "half",  "float",  NULL};

static bool wordIs(const char *word, size_t length, const char *text) {
  return strlen(text) == length && memcmp(word, text, length) == 0;
}

/** float4, packed_half3 and the like; matrices (float4x4) are builtin types only. */
static uint8_t typeFacts(const char *word, size_t length) {
  for (const char *const *p = builtinTypes; *p; p++)
    if (wordIs(word, length, *p)) return MslWordType | MslWordBuiltinType;
  if (length > 7 && memcmp(word, "packed_", 7) == 0) {
    word += 7;
    length -= 7;
  }
  if (length > 5 && memcmp(word, "bool", 4) == 0 && length == 5 && word[4] >= '2' && word[4] <= '4')
    return MslWordType | MslWordBuiltinType | MslWordVector;
  for (const char *const *p = vectorElements; *p; p++) {
    const size_t n = strlen(*p);
    if (length <= n || memcmp(word, *p, n) != 0 || word[n] < '2' || word[n] > '4') continue;
    if (length == n + 1) return MslWordType | MslWordBuiltinType | MslWordVector;
    if (length == n + 3 && word[n + 1] == 'x' && word[n + 2] >= '2' && word[n + 2] <= '4')
      return MslWordType | MslWordBuiltinType;
  }
  return 0;
}

/** Gives each different word a number from 1, and what the language says about it. */
static bool numberWords(MslShader *shader) {
  const MslTokens *t = &shader->tokens;
  size_t size = 64;
  while (size < (size_t)t->count * 2) size *= 2;
  uint32_t *table = calloc(size, sizeof *table); /* token + 1 of the first of each word */
  shader->words = calloc((size_t)t->count + 1, sizeof *shader->words);
  shader->facts = calloc((size_t)t->count + 2, 1);
  shader->inFunction = calloc((size_t)t->count + 1, sizeof *shader->inFunction);
  if (!table || !shader->words || !shader->facts || !shader->inFunction) {
    free(table);
    return false;
  }
  for (uint32_t i = 0; i < t->count; i++) {
    if (t->tokens[i].kind != MslTokenWord) continue;
    const char *word = t->source + t->tokens[i].start;
    const size_t length = t->tokens[i].length;
    uint64_t hash = 14695981039346656037ull; /* FNV-1a */
    for (size_t k = 0; k < length; k++) hash = (hash ^ (unsigned char)word[k]) * 1099511628211ull;
    size_t slot = (hash ^ hash >> 32) & (size - 1);
    while (table[slot]) {
      const MslToken *other = &t->tokens[table[slot] - 1];
      if (other->length == length && memcmp(t->source + other->start, word, length) == 0) break;
      slot = (slot + 1) & (size - 1);
    }
    if (table[slot]) {
      shader->words[i] = shader->words[table[slot] - 1];
      continue;
    }
    table[slot] = i + 1;
    const uint32_t id = shader->words[i] = ++shader->wordCount;
    uint8_t facts = typeFacts(word, length);
    if (isSimdFunction(word, length)) facts |= MslWordSynchronises;
    for (const char *const *p = synchronising; *p; p++)
      if (wordIs(word, length, *p)) facts |= MslWordSynchronises;
    shader->facts[id] = facts;
  }
  free(table);
  return true;
}

void mslError(MslShader *shader, uint32_t token, const char *format, ...) {
  shader->errorCount++;
  if (shader->errorCount > MaxErrors) return;
  const MslTokens *t = &shader->tokens;
  if (token >= t->count && t->count > 0) token = t->count - 1;
  if (token < t->count) {
    const MslToken *at = &t->tokens[token];
    mslTextPrint(&shader->errors, "%s:%u: error: ", at->file < t->fileCount ? t->files[at->file] : "source",
                 at->line);
  }
  char *message;
  va_list list;
  va_start(list, format);
  if (vasprintf(&message, format, list) >= 0) {
    mslTextPuts(&shader->errors, message);
    free(message);
  }
  va_end(list);
  mslTextPuts(&shader->errors, "\n");
}

void *mslGrow(MslShader *shader, void *array, uint32_t *count, uint32_t *capacity, size_t size) {
  if (*count == *capacity) {
    const uint32_t more = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(array, (size_t)more * size);
    if (!grown) {
      shader->outOfMemory = true;
      return NULL;
    }
    array = grown;
    *capacity = more;
  }
  memset((char *)array + (size_t)*count * size, 0, size);
  (*count)++;
  return array;
}

void mslEdit(MslShader *shader, uint32_t start, uint32_t end, uint32_t token, char *text) {
  if (!text) {
    shader->outOfMemory = true;
    return;
  }
  MslEdit *edits = mslGrow(shader, shader->edits, &shader->editCount, &shader->editCapacity, sizeof *edits);
  if (!edits) {
    free(text);
    return;
  }
  shader->edits = edits;
  edits[shader->editCount - 1] =
      (MslEdit){.start = start, .end = end, .order = shader->editCount, .token = token, .text = text};
}

uint8_t mslFacts(const MslShader *shader, uint32_t token) {
  return token < shader->tokens.count ? shader->facts[shader->words[token]] : 0;
}
bool mslIs(const MslShader *shader, uint32_t token, const char *text) {
  return mslTokenIs(&shader->tokens, token, text);
}
bool mslIsWord(const MslShader *shader, uint32_t token) { return mslTokenIsWord(&shader->tokens, token); }
uint32_t mslMatch(const MslShader *shader, uint32_t token) {
  return token < shader->tokens.count ? shader->tokens.tokens[token].match : token;
}

char *mslWord(MslShader *shader, uint32_t token) {
  char *word = token < shader->tokens.count ? mslTokensCopy(&shader->tokens, token, token + 1) : strdup("");
  if (!word) shader->outOfMemory = true;
  return word;
}

bool mslIsAttribute(const MslShader *shader, uint32_t token) {
  return mslIs(shader, token, "[") && mslIs(shader, token + 1, "[") &&
         mslMatch(shader, token) == mslMatch(shader, token + 1) + 1;
}

bool mslIsAddressSpace(const MslShader *shader, uint32_t token) {
  static const char *const spaces[] = {"device", "constant", "threadgroup", "thread", NULL};
  return mslTokenIsOneOf(&shader->tokens, token, spaces);
}

/** Marks, until nothing changes, the words whose bodies use a word that synchronises. */
static void spread(MslShader *shader) {
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t b = 0; b < shader->bodyCount; b++) {
      const MslBody *body = &shader->bodies[b];
      uint8_t *facts = &shader->facts[shader->words[body->name]];
      if (*facts & MslWordSynchronises) continue;
      for (uint32_t i = body->from; i < body->to; i++)
        if (mslFacts(shader, i) & MslWordSynchronises) {
          *facts |= MslWordSynchronises;
          changed = true;
          break;
        }
    }
  }
}

bool mslShaderRead(MslShader *shader, const char *source, size_t length) {
  *shader = (MslShader){0};
  char *error = mslTokensRead(&shader->tokens, source, length);
  if (error) {
    mslTextPuts(&shader->errors, error);
    free(error);
    return false;
  }
  if (!numberWords(shader)) shader->outOfMemory = true;
  if (!shader->outOfMemory) mslScan(shader);
  if (!shader->outOfMemory) spread(shader);
  if (!shader->outOfMemory) mslReadKernels(shader);
  if (!shader->outOfMemory) mslCheckRules(shader);
  if (shader->outOfMemory || shader->errors.failed) {
    mslTextFree(&shader->errors);
    mslTextPuts(&shader->errors, "error: out of memory while reading the shader\n");
    return false;
  }
  if (shader->errorCount > MaxErrors)
    mslTextPrint(&shader->errors, "error: %u more errors\n", shader->errorCount - MaxErrors);
  return shader->errorCount == 0;
}

void mslShaderFree(MslShader *shader) {
  for (uint32_t i = 0; i < shader->functionCount; i++) free(shader->functions[i].scope);
  for (uint32_t i = 0; i < shader->kernelCount; i++) {
    for (uint32_t k = 0; k < shader->kernels[i].argumentCount; k++) free(shader->kernels[i].arguments[k].index);
    free(shader->kernels[i].arguments);
    free(shader->kernels[i].hostName);
  }
  for (uint32_t i = 0; i < shader->entryCount; i++) {
    free(shader->entries[i].hostName);
    free(shader->entries[i].templateArguments);
  }
  for (uint32_t i = 0; i < shader->editCount; i++) free(shader->edits[i].text);
  for (uint32_t i = 0; i < shader->instantiationCount; i++)
    if (shader->instantiationScopes) free(shader->instantiationScopes[i]);
  free(shader->functions);
  free(shader->bodies);
  free(shader->kernels);
  free(shader->entries);
  free(shader->edits);
  free(shader->instantiations);
  free(shader->instantiationScopes);
  free(shader->words);
  free(shader->facts);
  free(shader->inFunction);
  mslTokensFree(&shader->tokens);
  mslTextFree(&shader->errors);
  *shader = (MslShader){0};
}

/** By name: a kernel that may wait for others is run with fibers, which is slower but never wrong. An operator is
 *  called without its name, so one that waits makes all kernels wait. */
bool mslShaderSynchronises(const MslShader *shader, uint32_t kernel) {
  for (uint32_t b = 0; b < shader->bodyCount; b++)
    if (mslIs(shader, shader->bodies[b].name, "operator") &&
        (mslFacts(shader, shader->bodies[b].name) & MslWordSynchronises))
      return true;
  return (mslFacts(shader, shader->functions[shader->kernels[kernel].function].name) & MslWordSynchronises) != 0;
}
