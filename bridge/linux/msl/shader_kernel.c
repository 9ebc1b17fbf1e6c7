/*
 * shader_kernel.c: reads the kernels of a shader: attributes, arguments, and which instantiations the host can find.
 */
#include "shader.h"

#include <stdlib.h>
#include <string.h>

/** Built-in arguments. `vector` ones take a position: a scalar or a vector of 2 or 3. */
static const struct {
  const char *name;
  bool vector;
} values[] = {
    {"thread_position_in_grid", true},
    {"threads_per_grid", true},
    {"thread_position_in_threadgroup", true},
    {"threads_per_threadgroup", true},
    {"dispatch_threads_per_threadgroup", true},
    {"threadgroup_position_in_grid", true},
    {"threadgroups_per_grid", true},
    {"thread_index_in_threadgroup", false},
    {"thread_index_in_simdgroup", false},
    {"simdgroup_index_in_threadgroup", false},
    {"simdgroups_per_threadgroup", false},
    {"dispatch_simdgroups_per_threadgroup", false},
    {"threads_per_simdgroup", false},
    {"thread_execution_width", false},
    {"thread_index_in_quadgroup", false},
    {"quadgroup_index_in_threadgroup", false},
    {"quadgroups_per_threadgroup", false},
};

static const char *const unsupported[] = {"texture",
                                          "sampler",
                                          "function_constant",
                                          "id",
                                          "stage_in",
                                          "color",
                                          "position",
                                          "user",
                                          "patch",
                                          "payload",
                                          "imageblock_data",
                                          "grid_origin",
                                          "grid_size",
                                          "thread_position_in_grid_origin",
                                          "visible",
                                          "intersection",
                                          "mesh",
                                          "object",
                                          "vertex",
                                          "fragment",
                                          "required_threads_per_threadgroup",
                                          NULL};
static const char *const known[] = {"kernel", "host_name",   "max_total_threads_per_threadgroup",
                                    "buffer", "threadgroup", NULL};
static const char *const standard[] = {"maybe_unused", "fallthrough", "nodiscard", "deprecated", "likely",
                                       "unlikely",     "clang",       "gnu",       "unroll",     NULL};

static int valueOf(const MslShader *shader, uint32_t i) {
  for (size_t k = 0; k < sizeof values / sizeof *values; k++)
    if (mslIs(shader, i, values[k].name)) return (int)k;
  return -1;
}

/** Takes MSL's attributes out of the source, and refuses what nobody knows. */
static void stripAttributes(MslShader *shader) {
  const MslToken *tokens = shader->tokens.tokens;
  for (uint32_t i = 0; i < shader->tokens.count; i++) {
    if (mslIs(shader, i, "kernel")) {
      if (!mslIs(shader, i - 1, "[") && !mslIs(shader, i - 1, ",") && !mslIs(shader, i - 1, ".") &&
          !mslIs(shader, i - 1, "->"))
        mslEdit(shader, tokens[i].start, tokens[i].start + tokens[i].length, UINT32_MAX, strdup(""));
      continue;
    }
    if (!mslIsAttribute(shader, i)) continue;
    const uint32_t close = mslMatch(shader, i);
    bool ours = true;
    for (uint32_t k = i + 2; k + 1 < close; k++) {
      if (!mslIsWord(shader, k)) continue;
      char *word = mslWord(shader, k);
      if (mslTokenIsOneOf(&shader->tokens, k, standard)) {
        ours = false;
        k = close;
      } else if (mslTokenIsOneOf(&shader->tokens, k, unsupported)) {
        mslError(shader, k, "attribute '%s' is not supported by this layer", word ? word : "");
      } else if (!mslTokenIsOneOf(&shader->tokens, k, known) && valueOf(shader, k) < 0) {
        mslError(shader, k, "unknown attribute '%s'", word ? word : "");
      }
      free(word);
      if (k < close && mslIs(shader, k + 1, "(")) k = mslMatch(shader, k + 1);
    }
    if (ours) {
      const MslToken *last = &tokens[close];
      mslEdit(shader, tokens[i].start, last->start + last->length, close + 1, strdup(""));
    }
    i = close;
  }
}

/** The token of attribute `name` in tokens [from, to), which are declaration specifiers; 0 without. */
static uint32_t findAttribute(const MslShader *shader, uint32_t from, uint32_t to, const char *name) {
  for (uint32_t i = from; i < to; i++) {
    if (!mslIsAttribute(shader, i)) continue;
    const uint32_t close = mslMatch(shader, i);
    for (uint32_t k = i + 2; k + 1 < close; k++) {
      if (mslIs(shader, k, name)) return k;
      if (mslMatch(shader, k) > k) k = mslMatch(shader, k);
    }
    i = close;
  }
  return 0;
}

/** The text of [[host_name("text")]] in tokens [from, to); NULL without. */
static char *hostName(MslShader *shader, uint32_t from, uint32_t to) {
  const uint32_t i = findAttribute(shader, from, to, "host_name");
  if (!i) return NULL;
  MslText name = {0};
  mslTextPuts(&name, "");
  /* "a" "b" is "ab" */
  for (uint32_t k = i + 2; k < shader->tokens.count && shader->tokens.tokens[k].kind == MslTokenString; k++) {
    const MslToken *t = &shader->tokens.tokens[k];
    if (shader->tokens.source[t->start] != '"' || memchr(shader->tokens.source + t->start, '\\', t->length)) break;
    mslTextAppend(&name, shader->tokens.source + t->start + 1, t->length - 2);
  }
  if (name.length == 0) mslError(shader, i, "host_name needs a name in quotation marks");
  const bool empty = name.length == 0;
  char *text = mslTextTake(&name);
  if (!text) shader->outOfMemory = true;
  if (!empty) return text;
  free(text);
  return NULL;
}

/** A literal index; -1 where it is an expression, which clang evaluates. */
static int literalIndex(const char *text) {
  char *end;
  const long n = strtol(text, &end, 0);
  return *text && (*end == 0 || ((*end == 'u' || *end == 'U') && end[1] == 0)) && n >= 0 && n < 1000 ? (int)n : -1;
}

/** Reads the parameter in tokens [from, to). `next` are the indices that arguments without one get. */
static void readArgument(MslShader *shader, MslKernel *kernel, uint32_t from, uint32_t to, int next[2],
                         int *dimension) {
  uint32_t name = 0, pointer = 0, attribute = 0, typeWord = 0;
  bool isThreadgroup = false, isMemory = false, isSize = false;
  for (uint32_t i = from; i < to; i++) {
    if (mslIsAttribute(shader, i)) {
      if (!attribute) attribute = i + 2;
      i = mslMatch(shader, i);
      continue;
    }
    if (mslIs(shader, i, "=")) {
      mslError(shader, i, "a kernel's argument has no default value");
      return;
    }
    if (attribute) continue;
    if (mslIs(shader, i, "*") || mslIs(shader, i, "&"))
      pointer = i;
    else if (mslIs(shader, i, "threadgroup"))
      isThreadgroup = isMemory = true;
    else if (mslIs(shader, i, "device") || mslIs(shader, i, "constant"))
      isMemory = true;
    else if (mslIs(shader, i, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, i);
      if (close) i = close;
    } else if (mslIsWord(shader, i)) {
      if (mslIs(shader, i, "size_t") || mslIs(shader, i, "ptrdiff_t")) isSize = true;
      typeWord = name;
      name = i;
    }
  }
  if (isSize) mslError(shader, from, "size_t and ptrdiff_t cannot be kernel arguments: use uint or ulong");
  if (!name || (pointer && name < pointer)) {
    mslError(shader, from, "a kernel's argument needs a name");
    return;
  }
  MslArgument *arguments =
      mslGrow(shader, kernel->arguments, &kernel->argumentCount, &kernel->argumentCapacity, sizeof *arguments);
  if (!arguments) return;
  kernel->arguments = arguments;
  MslArgument *argument = &arguments[kernel->argumentCount - 1];
  argument->name = name;
  char *word = mslWord(shader, name);

  const int value = attribute ? valueOf(shader, attribute) : -1;
  if (value >= 0) {
    argument->source = MslFromValue;
    argument->index = mslFormat("metal::detail::value_%s", values[value].name);
    int count = 0;
    static const char *const types[] = {"uint",  "ushort",  "uint2",    "ushort2",
                                        "uint3", "ushort3", "uint32_t", "uint16_t"};
    static const int counts[] = {1, 1, 2, 2, 3, 3, 1, 1};
    for (int k = 0; k < 8; k++)
      if (mslIs(shader, typeWord, types[k])) count = counts[k];
    if (count == 0 && (mslFacts(shader, typeWord) & MslWordBuiltinType))
      mslError(shader, name, "'%s' [[%s]] has to be ushort or uint%s", word ? word : "", values[value].name,
               values[value].vector ? ", or a vector of them" : "");
    else if (count > 1 && !values[value].vector)
      mslError(shader, name, "'%s' [[%s]] has to be a scalar", word ? word : "", values[value].name);
    else if (values[value].vector && count > 0) {
      if (*dimension != 0 && *dimension != count)
        mslError(shader, name, "'%s' has another dimension than the kernel's other positions and sizes",
                 word ? word : "");
      *dimension = count;
    }
  } else if (!pointer) {
    mslError(
        shader, name,
        attribute
            ? "'%s' has to be a pointer or a reference: write 'constant T &%s'"
            : "'%s' needs an attribute: a kernel's arguments are buffers, threadgroup memory and built-in values",
        word ? word : "", word ? word : "");
  } else if (!isMemory) {
    /* the missing address space is reported with all others */
  } else {
    argument->source = isThreadgroup ? MslFromThreadgroup : MslFromBuffer;
    const char *wanted = isThreadgroup ? "threadgroup" : "buffer";
    if (attribute && !mslIs(shader, attribute, wanted)) {
      mslError(shader, attribute, "'%s' takes the attribute [[%s(n)]]", word ? word : "", wanted);
    } else if (attribute) {
      const uint32_t open = attribute + 1;
      if (!mslIs(shader, open, "(") || mslMatch(shader, open) <= open + 1)
        mslError(shader, attribute, "[[%s(n)]] needs an index", wanted);
      else
        argument->index = mslTokensCopy(&shader->tokens, open + 1, mslMatch(shader, open));
    } else {
      argument->index = mslFormat("%d", next[isThreadgroup]);
    }
    const int index = argument->index ? literalIndex(argument->index) : -1;
    if (index > 30) mslError(shader, name, "'%s' has index %d: the highest is 30", word ? word : "", index);
    if (index >= 0) next[isThreadgroup] = index + 1;
    for (uint32_t k = 0; k + 1 < kernel->argumentCount; k++)
      if (argument->index && kernel->arguments[k].index && kernel->arguments[k].source == argument->source &&
          strcmp(kernel->arguments[k].index, argument->index) == 0)
        mslError(shader, name, "'%s' has the same %s index as another argument: %s", word ? word : "", wanted,
                 argument->index);
  }
  free(word);
}

static void readKernel(MslShader *shader, uint32_t index) {
  MslFunction *f = &shader->functions[index];
  for (uint32_t i = 0; i < index; i++)
    if (shader->functions[i].isKernel && shader->words[shader->functions[i].name] == shader->words[f->name] &&
        strcmp(shader->functions[i].scope, f->scope) == 0) {
      mslError(shader, f->name, "kernels cannot be overloaded, and this name is taken");
      return;
    }
  MslKernel *kernels =
      mslGrow(shader, shader->kernels, &shader->kernelCount, &shader->kernelCapacity, sizeof *kernels);
  if (!kernels) return;
  shader->kernels = kernels;
  f->kernel = shader->kernelCount - 1;
  MslKernel *kernel = &kernels[f->kernel];
  kernel->function = index;
  kernel->hostName = hostName(shader, f->start, f->name);
  const uint32_t limit = findAttribute(shader, f->start, f->name, "max_total_threads_per_threadgroup");
  if (limit && mslIs(shader, limit + 1, "(")) {
    kernel->maxThreadsFrom = limit + 2;
    kernel->maxThreadsTo = mslMatch(shader, limit + 1);
  }
  if (!mslIs(shader, f->name - 1, "void")) {
    bool isVoid = false;
    for (uint32_t i = f->start; i < f->name; i++)
      if (mslIs(shader, i, "void")) isVoid = true;
    if (!isVoid) mslError(shader, f->name, "a kernel returns void");
  }
  const uint32_t close = mslMatch(shader, f->parameters);
  int next[2] = {0, 0}, dimension = 0;
  for (uint32_t from = f->parameters + 1; from < close;) {
    uint32_t to = from;
    for (; to < close && !mslIs(shader, to, ","); to++) {
      if (mslIs(shader, to, "<")) {
        const uint32_t angle = mslTokensCloseAngle(&shader->tokens, to);
        if (angle && angle < close) to = angle;
      } else if (mslMatch(shader, to) > to) {
        to = mslMatch(shader, to);
      }
    }
    if (!(to == from + 1 && mslIs(shader, from, "void"))) readArgument(shader, kernel, from, to, next, &dimension);
    from = to + 1;
  }
}

static void addEntry(MslShader *shader, uint32_t kernel, uint32_t token, char *name, char *templateArguments) {
  MslEntry *entries = name && templateArguments ? mslGrow(shader, shader->entries, &shader->entryCount,
                                                          &shader->entryCapacity, sizeof *entries)
                                                : NULL;
  if (!entries) {
    shader->outOfMemory = true;
    free(name);
    free(templateArguments);
    return;
  }
  shader->entries = entries;
  entries[shader->entryCount - 1] =
      (MslEntry){.hostName = name, .templateArguments = templateArguments, .kernel = kernel, .token = token};
  for (uint32_t i = 0; i + 1 < shader->entryCount; i++)
    if (strcmp(entries[i].hostName, name) == 0) {
      mslError(shader, token, "two kernels have the host name '%s'", name);
      return;
    }
}

/** template [[host_name("x")]] [[kernel]] decltype(f<half>) f<half>;   or   ... void f<half>(parameters); */
static void readInstantiation(MslShader *shader, uint32_t i, const char *scope) {
  uint32_t end = i, name = 0, angle = 0;
  for (; end < shader->tokens.count && !mslIs(shader, end, ";"); end++)
    if (mslMatch(shader, end) > end) end = mslMatch(shader, end);
  bool marked = false;
  for (uint32_t k = i + 1; k < end; k++) {
    if (mslIsAttribute(shader, k)) {
      k = mslMatch(shader, k);
    } else if (mslIs(shader, k, "decltype") && mslIs(shader, k + 1, "(")) {
      k = mslMatch(shader, k + 1);
    } else if (mslIs(shader, k, "(")) {
      break;
    } else if (mslIs(shader, k, "<")) {
      if (angle) break;
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
      if (!close || !(mslFacts(shader, k - 1) & MslWordKernel)) {
        k = close ? close : k;
        continue;
      }
      name = k - 1;
      angle = k;
      k = close;
    } else if (mslIs(shader, k, "kernel")) {
      marked = true;
    } else if (mslIsWord(shader, k) && !angle) {
      name = k;
    }
  }
  if (findAttribute(shader, i, end, "kernel")) marked = true;
  char *host = hostName(shader, i, end);
  if (!name || !(mslFacts(shader, name) & MslWordKernel)) {
    if (marked || host) mslError(shader, i, "this instantiates no kernel of this file");
    free(host);
    return;
  }
  uint32_t function = shader->functionCount;
  for (uint32_t f = 0; f < shader->functionCount; f++)
    if (shader->functions[f].isKernel && shader->words[shader->functions[f].name] == shader->words[name] &&
        (function == shader->functionCount || strcmp(shader->functions[f].scope, scope) == 0))
      function = f;
  if (function == shader->functionCount || !shader->functions[function].templateOpen) {
    mslError(shader, name, "this kernel is not a template: there is nothing to instantiate");
  } else if (!angle) {
    mslError(shader, name, "write the template arguments: name<...>");
  } else if (!host) {
    mslError(shader, name, "an instantiated kernel needs a name for the host: [[host_name(\"...\")]]");
  } else {
    addEntry(shader, shader->functions[function].kernel, name, host,
             mslTokensCopy(&shader->tokens, angle, mslTokensCloseAngle(&shader->tokens, angle) + 1));
    host = NULL;
  }
  free(host);
  /* The entry instantiates it; clang would refuse the attributes. */
  const MslToken *t = shader->tokens.tokens;
  mslEdit(shader, t[i].start, end < shader->tokens.count ? t[end].start : t[end - 1].start + t[end - 1].length, end,
          strdup(""));
}

void mslReadKernels(MslShader *shader) {
  stripAttributes(shader);
  for (uint32_t i = 0; i < shader->functionCount && !shader->outOfMemory; i++)
    if (shader->functions[i].isKernel) readKernel(shader, i);
  for (uint32_t i = 0; i < shader->kernelCount && !shader->outOfMemory; i++) {
    const MslFunction *f = &shader->functions[shader->kernels[i].function];
    if (f->templateOpen) continue;
    char *word = mslWord(shader, f->name);
    char *name = shader->kernels[i].hostName ? strdup(shader->kernels[i].hostName)
                                             : mslFormat("%s%s", f->scope, word ? word : "");
    addEntry(shader, i, f->name, name, strdup(""));
    free(word);
  }
  for (uint32_t i = 0; i < shader->instantiationCount && !shader->outOfMemory; i++)
    readInstantiation(shader, shader->instantiations[i], shader->instantiationScopes[i]);
}
