/*
 * shader_rewrite.c: writes what clang compiles: the shader with MSL's own constructs replaced in place (no line
 * moves); behind it stand the entries, shader_entry.c.
 */
#include "shader.h"

#include <stdlib.h>
#include <string.h>

static uint32_t startOf(const MslShader *shader, uint32_t i) { return shader->tokens.tokens[i].start; }
static uint32_t endOf(const MslShader *shader, uint32_t i) {
  return shader->tokens.tokens[i].start + shader->tokens.tokens[i].length;
}

/* ---- vector constructors ---- */

/** The last token of a type that may be a vector, when one starts at token i: float4, T, vec<T, 4>; 0 otherwise. */
static uint32_t vectorTypeEnd(const MslShader *shader, uint32_t i) {
  if (mslFacts(shader, i) & (MslWordVector | MslWordAlias))
    return mslIs(shader, i + 1, "<") ? mslTokensCloseAngle(&shader->tokens, i + 1) : i;
  if (mslIs(shader, i, "vec") && mslIs(shader, i + 1, "<")) return mslTokensCloseAngle(&shader->tokens, i + 1);
  return 0;
}

/** float4(a, b) and T(x) become calls of metal::detail::construct, which converts as MSL does. */
static void rewriteConstructor(MslShader *shader, uint32_t i) {
  static const char *const notTypes[] = {"struct", "class", "typename", "operator", ".", "->", "using", "enum", NULL};
  if (mslTokenIsOneOf(&shader->tokens, i - 1, notTypes)) return;
  if (mslIs(shader, i - 1, "::") && !mslIs(shader, i - 2, "metal")) return;
  const uint32_t last = vectorTypeEnd(shader, i);
  if (!last) return;
  const uint32_t open = last + 1;
  const uint32_t first = mslIs(shader, i - 1, "::") ? i - 2 : i;
  const bool isQualified =
      mslIs(shader, i - 1, "const") || mslIs(shader, i - 1, "volatile") || mslIsAddressSpace(shader, i - 1);
  if (mslIs(shader, open, "(")) {
    if (isQualified) return; /* device float4 (&x)[2] */
    mslEdit(shader, startOf(shader, first), startOf(shader, first), UINT32_MAX, strdup("metal::detail::construct<"));
    mslEdit(shader, endOf(shader, last), endOf(shader, last), UINT32_MAX, strdup(">"));
  } else if (shader->inFunction[i] && mslIsWord(shader, open) && mslIs(shader, open + 1, "(") &&
             !mslIs(shader, open, "operator")) {
    /* float4 v(a, b) */
    char *type = mslTokensCopy(&shader->tokens, i, last + 1);
    mslEdit(shader, endOf(shader, open), endOf(shader, open), UINT32_MAX,
            type ? mslFormat(" = metal::detail::construct<%s>", type) : NULL);
    free(type);
  }
}

/** (float4)(...) and static_cast<float4>(...) are constructors too. */
static void rewriteCast(MslShader *shader, uint32_t i) {
  const bool isStatic = mslIs(shader, i, "static_cast") && mslIs(shader, i + 1, "<");
  const bool isPlain =
      mslIs(shader, i, "(") && !mslIsWord(shader, i - 1) && !mslIs(shader, i - 1, ">") && !mslIs(shader, i - 1, ")");
  if (!isStatic && !isPlain) return;
  const uint32_t type = isStatic ? i + 2 : i + 1;
  const uint32_t last = vectorTypeEnd(shader, type);
  if (!last) return;
  const uint32_t close = isStatic ? mslTokensCloseAngle(&shader->tokens, i + 1) : mslMatch(shader, i);
  if (close != last + 1 || !mslIs(shader, close + 1, "(")) return;
  mslEdit(shader, startOf(shader, i), startOf(shader, type), UINT32_MAX, strdup("metal::detail::construct<"));
  mslEdit(shader, startOf(shader, close), endOf(shader, close), UINT32_MAX, strdup(">"));
}

/** vec<bool, n> has no vector type to be. */
static void rewriteBoolVector(MslShader *shader, uint32_t i) {
  if (!mslIs(shader, i, "vec") || !mslIs(shader, i + 1, "<") || !mslIs(shader, i + 2, "bool") ||
      !mslIs(shader, i + 3, ","))
    return;
  mslEdit(shader, startOf(shader, i), endOf(shader, i + 3), UINT32_MAX, strdup("metal::bool_vec<"));
}

/** Program-scope arrays are in OpenCL's global space: seen from outside of an index expression, in MSL's constant. */
static void rewriteConstantArray(MslShader *shader, uint32_t i) {
  if (!(mslFacts(shader, i) & MslWordConstantArray) || mslIs(shader, i + 1, "[")) return;
  if (mslIs(shader, i - 1, ".") || mslIs(shader, i - 1, "->") ||
      (mslIs(shader, i - 1, "(") && mslIs(shader, i - 2, "sizeof")))
    return;
  char *word = mslWord(shader, i);
  mslEdit(shader, startOf(shader, i), endOf(shader, i), UINT32_MAX,
          word ? mslFormat("metal::detail::inConstantSpace(%s)", word) : NULL);
  free(word);
}

/* ---- threadgroup variables ---- */

/** A template's parameters as arguments: "< T , n , rest ... >"; "" for a plain function. */
static char *templateArguments(const MslShader *shader, const MslFunction *f) {
  MslText text = {0};
  mslTextPuts(&text, "");
  if (!f->templateOpen) return mslTextTake(&text);
  for (uint32_t from = f->templateOpen + 1; from < f->templateClose;) {
    uint32_t to = from, name = 0;
    bool isPack = false, isDefault = false;
    for (; to < f->templateClose && !mslIs(shader, to, ","); to++) {
      if (mslIs(shader, to, "...")) isPack = true;
      if (mslIs(shader, to, "=")) isDefault = true;
      if (mslIsWord(shader, to) && !isDefault) name = to;
      if (mslIs(shader, to, "<")) {
        const uint32_t close = mslTokensCloseAngle(&shader->tokens, to);
        if (close && close < f->templateClose) to = close;
      } else if (mslMatch(shader, to) > to) {
        to = mslMatch(shader, to);
      }
    }
    mslTextPuts(&text, text.length ? ", " : "<");
    if (name) mslTextAppend(&text, shader->tokens.source + startOf(shader, name), shader->tokens.tokens[name].length);
    if (isPack) mslTextPuts(&text, "...");
    from = to + 1;
  }
  mslTextPuts(&text, text.length ? ">" : "<>");
  return mslTextTake(&text);
}

static void putTokens(const MslShader *shader, MslText *text, uint32_t from, uint32_t to) {
  char *copy = mslTokensCopy(&shader->tokens, from, to);
  if (copy)
    mslTextPuts(text, copy);
  else
    text->failed = true;
  free(copy);
}

/** Whether a variable in threadgroup memory is declared at token i (`threadgroup`); *end is its semicolon. */
static bool isThreadgroupVariable(const MslShader *shader, const MslFunction *f, uint32_t i, uint32_t *end) {
  if (!mslIs(shader, i, "threadgroup")) return false;
  if (!mslIs(shader, i - 1, ";") && !mslIs(shader, i - 1, "{") && !mslIs(shader, i - 1, "}") &&
      !mslIs(shader, i - 1, ")") && !mslIs(shader, i - 1, "volatile"))
    return false;
  for (uint32_t k = i + 1; k < f->end; k++) {
    if (mslIs(shader, k, "*") || mslIs(shader, k, "&")) return false;
    if (mslIs(shader, k, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
      if (close) k = close;
    } else if (mslIs(shader, k, ";")) {
      *end = k;
      return true;
    } else if (mslMatch(shader, k) > k) {
      k = mslMatch(shader, k);
    }
  }
  return false;
}

typedef struct Layout {
  MslText places; /* of the layout function: a type and a place for each variable */
  uint32_t count;
  bool *needed; /* by word: a size depends on it */
} Layout;

static void need(const MslShader *shader, Layout *layout, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++)
    if (mslIsWord(shader, i)) layout->needed[shader->words[i]] = true;
}

/** Rewrites one declaration: `threadgroup T a[n], b;` with `threadgroup` at token i and the semicolon at `end`. */
static void rewriteThreadgroup(MslShader *shader, const MslFunction *f, uint32_t kernel, const char *arguments,
                               uint32_t i, uint32_t end, Layout *layout) {
  MslText here = {0};
  uint32_t alignFrom = 0, alignTo = 0, typeFrom = i + 1;
  if (mslIs(shader, typeFrom, "alignas") && mslIs(shader, typeFrom + 1, "(")) {
    alignFrom = typeFrom + 2;
    alignTo = mslMatch(shader, typeFrom + 1);
    typeFrom = alignTo + 1;
  }
  /* The first declarator's name is the last word before [ , = or ; */
  uint32_t name = 0;
  for (uint32_t k = typeFrom; k < end; k++) {
    if (mslIs(shader, k, "[") || mslIs(shader, k, ",") || mslIs(shader, k, "=") || mslIs(shader, k, "{")) break;
    if (mslIsWord(shader, k)) name = k;
    if (mslIs(shader, k, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
      if (close) k = close;
    }
  }
  if (name <= typeFrom) {
    mslError(shader, i, "this declaration in threadgroup memory is not understood");
    return;
  }
  const uint32_t typeTo = name;
  need(shader, layout, typeFrom, typeTo);
  for (uint32_t declarator = name; declarator < end;) {
    uint32_t to = declarator + 1;
    while (to < end && mslIs(shader, to, "[")) to = mslMatch(shader, to) + 1;
    if (mslIs(shader, to, "=") || mslIs(shader, to, "{") || mslIs(shader, to, "(")) {
      mslError(shader, declarator, "a variable in threadgroup memory has no initialiser");
      break;
    }
    if (!mslIsWord(shader, declarator) || (to < end && !mslIs(shader, to, ","))) {
      mslError(shader, declarator, "this declaration in threadgroup memory is not understood");
      break;
    }
    need(shader, layout, declarator + 1, to);
    const uint32_t n = layout->count++;
    char *word = mslWord(shader, declarator);
    mslTextPuts(&here, "typedef ");
    putTokens(shader, &here, typeFrom, typeTo);
    mslTextPrint(&here, " bm_type_%u ", n);
    putTokens(shader, &here, declarator + 1, to);
    mslTextPrint(&here, "; threadgroup bm_type_%u &%s = *(threadgroup bm_type_%u *)(bm_arena + bm_layout_%u%s(%u));",
                 n, word ? word : "", n, kernel, arguments, n);
    free(word);
    mslTextPuts(&layout->places, "typedef ");
    putTokens(shader, &layout->places, typeFrom, typeTo);
    mslTextPrint(&layout->places, " bm_type_%u ", n);
    putTokens(shader, &layout->places, declarator + 1, to);
    mslTextPrint(&layout->places, "; end = metal::detail::placeAfter<bm_type_%u>(end, ", n);
    if (alignTo > alignFrom)
      putTokens(shader, &layout->places, alignFrom, alignTo);
    else
      mslTextPuts(&layout->places, "1");
    mslTextPrint(&layout->places, "); if (bm_variable == %u) return end; end += sizeof(bm_type_%u); ", n, n);
    declarator = to < end ? to + 1 : end;
  }
  (void)f;
  mslEdit(shader, startOf(shader, i), endOf(shader, end), end + 1, mslTextTake(&here));
}

/** Declarations in the kernel's body that the sizes of its threadgroup variables depend on, in order. */
static void copyNeeded(MslShader *shader, const MslFunction *f, uint32_t last, Layout *layout, MslText *out) {
  static const char *const heads[] = {"constexpr", "const", "typedef", "using", "enum", "struct", NULL};
  uint32_t capacity = 0, count = 0;
  uint32_t(*statements)[2] = NULL;
  for (uint32_t i = f->body + 1; i < last; i++) {
    const bool atStart = mslIs(shader, i - 1, ";") || mslIs(shader, i - 1, "{") || mslIs(shader, i - 1, "}");
    if (mslIs(shader, i, "(") || mslIs(shader, i, "[")) {
      i = mslMatch(shader, i);
      continue;
    }
    if (!atStart || !mslTokenIsOneOf(&shader->tokens, i, heads)) continue;
    uint32_t end = i;
    while (end < last && !mslIs(shader, end, ";"))
      end = (mslMatch(shader, end) > end ? mslMatch(shader, end) : end) + 1;
    void *grown = mslGrow(shader, statements, &count, &capacity, sizeof *statements);
    if (!grown) break;
    statements = grown;
    statements[count - 1][0] = i;
    statements[count - 1][1] = end + 1;
    i = end;
  }
  bool *taken = calloc((size_t)count + 1, sizeof *taken);
  if (!taken) shader->outOfMemory = true;
  /* Backwards: a statement is needed if it declares a needed word, and then its own words are. */
  for (uint32_t k = count; taken && k-- > 0;) {
    const uint32_t from = statements[k][0], to = statements[k][1];
    for (uint32_t i = from; i < to && !taken[k]; i++) {
      static const char *const behind[] = {"=", ";", "{", "[", NULL};
      taken[k] =
          mslIsWord(shader, i) && layout->needed[shader->words[i]] && mslTokenIsOneOf(&shader->tokens, i + 1, behind);
      if (mslIs(shader, i, "=")) break;
    }
    if (taken[k]) need(shader, layout, from, to);
  }
  for (uint32_t k = 0; taken && k < count; k++)
    if (taken[k]) {
      putTokens(shader, out, statements[k][0], statements[k][1]);
      mslTextPuts(out, " ");
    }
  free(taken);
  free(statements);
}

/** Puts a kernel's threadgroup variables into the arena, and writes the function that knows their places. */
static void rewriteKernel(MslShader *shader, uint32_t index) {
  MslKernel *kernel = &shader->kernels[index];
  const MslFunction *f = &shader->functions[kernel->function];
  char *arguments = templateArguments(shader, f);
  Layout layout = {.needed = calloc((size_t)shader->wordCount + 1, sizeof(bool))};
  if (!arguments || !layout.needed) {
    shader->outOfMemory = true;
    free(arguments);
    free(layout.needed);
    return;
  }
  uint32_t last = f->body, end = 0;
  for (uint32_t i = f->body + 1; i < f->end; i++)
    if (isThreadgroupVariable(shader, f, i, &end)) {
      rewriteThreadgroup(shader, f, index, arguments, i, end, &layout);
      last = i;
      i = end;
    }
  kernel->threadgroupVariables = layout.count;

  MslText text = {0};
  if (layout.count > 0 || kernel->maxThreadsTo) {
    if (f->templateOpen) {
      mslTextPuts(&text, "template ");
      putTokens(shader, &text, f->templateOpen, f->templateClose + 1);
    }
    mslTextPrint(&text, " constexpr unsigned bm_layout_%u(int bm_variable) { unsigned end = 0; ", index);
    if (kernel->maxThreadsTo) {
      mslTextPuts(&text, "if (bm_variable == -2) return (");
      putTokens(shader, &text, kernel->maxThreadsFrom, kernel->maxThreadsTo);
      mslTextPuts(&text, "); ");
    }
    if (layout.count > 0) copyNeeded(shader, f, last, &layout, &text);
    if (layout.places.bytes) mslTextPuts(&text, layout.places.bytes);
    mslTextPuts(&text, "return end; } ");
    mslEdit(shader, startOf(shader, f->start), startOf(shader, f->start), UINT32_MAX, mslTextTake(&text));
  }
  if (layout.count > 0) {
    const uint32_t close = mslMatch(shader, f->parameters);
    mslEdit(shader, startOf(shader, close), startOf(shader, close), UINT32_MAX,
            mslFormat("%sthreadgroup char *bm_arena", kernel->argumentCount ? ", " : ""));
  }
  mslTextFree(&text);
  mslTextFree(&layout.places);
  free(layout.needed);
  free(arguments);
}

/* ---- output ---- */

static int compareEdits(const void *a, const void *b) {
  const MslEdit *x = a, *y = b;
  if (x->start != y->start) return x->start < y->start ? -1 : 1;
  const bool inserts = x->start == x->end, otherInserts = y->start == y->end;
  if (inserts != otherInserts) return inserts ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

static void applyEdits(MslShader *shader, MslText *out) {
  const char *source = shader->tokens.source;
  qsort(shader->edits, shader->editCount, sizeof *shader->edits, compareEdits);
  uint32_t at = 0;
  for (uint32_t i = 0; i < shader->editCount; i++) {
    const MslEdit *edit = &shader->edits[i];
    if (edit->start < at) continue; /* inside of what an earlier edit replaced */
    mslTextAppend(out, source + at, edit->start - at);
    mslTextPuts(out, edit->text);
    if (edit->token != UINT32_MAX && memchr(source + edit->start, '\n', edit->end - edit->start))
      mslPutMarker(shader, out, edit->token);
    at = edit->end;
  }
  mslTextAppend(out, source + at, shader->tokens.length - at);
}

/** Replaces MSL's own constructs, once. */
static void rewrite(MslShader *shader) {
  if (shader->isRewritten) return;
  shader->isRewritten = true;
  for (uint32_t f = 0; f < shader->functionCount; f++)
    for (uint32_t i = shader->functions[f].body; i < shader->functions[f].end; i++) rewriteConstantArray(shader, i);
  for (uint32_t i = 0; i < shader->tokens.count && !shader->outOfMemory; i++) {
    rewriteConstructor(shader, i);
    rewriteCast(shader, i);
    rewriteBoolVector(shader, i);
  }
  for (uint32_t i = 0; i < shader->kernelCount && !shader->outOfMemory; i++) rewriteKernel(shader, i);
}

char *mslShaderWrite(MslShader *shader, MslDevice device) {
  if (!shader->outOfMemory) rewrite(shader);
  if (shader->outOfMemory || shader->errorCount) return NULL;

  /* Nothing in a shader can be seen from another file: helpers of one name in two files do not meet. */
  MslText out = {0};
  mslTextPuts(&out, shader->extendsMetal ? "" : "namespace {");
  mslTextPuts(&out, "\n# 1 \"source\"\n");
  applyEdits(shader, &out);
  mslWriteEntries(shader, device, &out);
  mslTextPuts(&out, shader->extendsMetal ? "\n" : "\n}\n");
  if (shader->outOfMemory) mslTextFree(&out);
  return shader->outOfMemory ? NULL : mslTextTake(&out);
}
