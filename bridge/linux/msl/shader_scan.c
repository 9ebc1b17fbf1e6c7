/*
 * shader_scan.c: finds the declarations of a source file: functions, types, program-scope variables, instantiations.
 *
 * This is not a C++ parser. It walks declarations at namespace and struct scope, jumps over everything in brackets,
 * and leaves what it does not understand to clang.
 */
#include "shader.h"

#include <stdlib.h>
#include <string.h>

/** Declarations in tokens [from, to) of a namespace or a struct. */
typedef struct Range {
  uint32_t from, to;
  char *scope;
  bool inStruct;
  uint32_t owner; /* token: the struct's name */
} Range;

typedef struct Scan {
  MslShader *shader;
  Range *ranges;
  uint32_t rangeCount, rangeCapacity;
} Scan;

static void pushRange(Scan *scan, uint32_t from, uint32_t to, char *scope, bool inStruct, uint32_t owner) {
  MslShader *shader = scan->shader;
  Range *ranges =
      scope ? mslGrow(shader, scan->ranges, &scan->rangeCount, &scan->rangeCapacity, sizeof *ranges) : NULL;
  if (!ranges) {
    shader->outOfMemory = true;
    free(scope);
    return;
  }
  scan->ranges = ranges;
  ranges[scan->rangeCount - 1] = (Range){from, to, scope, inStruct, owner};
}

static void addBody(MslShader *shader, uint32_t name, uint32_t from, uint32_t to) {
  MslBody *bodies = mslGrow(shader, shader->bodies, &shader->bodyCount, &shader->bodyCapacity, sizeof *bodies);
  if (!bodies) return;
  shader->bodies = bodies;
  bodies[shader->bodyCount - 1] = (MslBody){name, from, to};
}

static void markType(MslShader *shader, uint32_t token, uint8_t facts) {
  if (token && mslIsWord(shader, token)) shader->facts[shader->words[token]] |= MslWordType | facts;
}

/** The first token at or after i, outside of brackets, that is one of the characters; `to` without one. */
static uint32_t findOutside(const MslShader *shader, uint32_t i, uint32_t to, const char *characters) {
  char text[2] = {0};
  for (; i < to; i++) {
    for (const char *c = characters; *c; c++) {
      text[0] = *c;
      if (mslIs(shader, i, text)) return i;
    }
    if (mslMatch(shader, i) > i) i = mslMatch(shader, i);
  }
  return to;
}

/** Types can be declared anywhere, in functions too: using A = ..; typedef .. A; struct A; typename A. */
static void markDeclaredTypes(MslShader *shader) {
  static const char *const heads[] = {"struct", "class", "union", "enum", "typename", NULL};
  for (uint32_t i = 0; i < shader->tokens.count; i++) {
    if (mslIs(shader, i, "thread_elements")) {
      shader->usesThreadElements = true;
    } else if (mslIs(shader, i, "bun_metal_has_native_kernels")) {
      shader->isOwn = true;
    } else if (mslIs(shader, i, "using") && mslIs(shader, i + 2, "=")) {
      markType(shader, i + 1, MslWordAlias);
    } else if (mslIs(shader, i, "typedef")) {
      uint32_t name = 0;
      for (uint32_t k = i + 1; k < shader->tokens.count && !mslIs(shader, k, ";") && !mslIs(shader, k, "["); k++) {
        if (mslIsWord(shader, k)) name = k;
        if (mslMatch(shader, k) > k) k = mslMatch(shader, k);
      }
      markType(shader, name, MslWordAlias);
    } else if (mslTokenIsOneOf(&shader->tokens, i, heads)) {
      uint32_t name = i + 1;
      while (mslIsAttribute(shader, name)) name = mslMatch(shader, name) + 1;
      if (mslIs(shader, name, "...") || mslIs(shader, name, "class") || mslIs(shader, name, "struct")) name++;
      const bool isParameter = mslIs(shader, i, "typename") || mslIs(shader, i - 1, "<") || mslIs(shader, i - 1, ",");
      if (!mslIs(shader, name + 1, "::")) markType(shader, name, isParameter ? MslWordAlias : 0);
    }
  }
}

static uint32_t readNamespace(Scan *scan, const Range *range, uint32_t i) {
  MslShader *shader = scan->shader;
  MslText scope = {0};
  mslTextPuts(&scope, range->scope);
  if (mslIs(shader, i + 1, "metal") && range->scope[0] == 0) shader->extendsMetal = true;
  uint32_t k = i + 1;
  for (; k < range->to && !mslIs(shader, k, "{") && !mslIs(shader, k, ";"); k++) {
    if (mslIs(shader, k, "=")) { /* namespace alias */
      mslTextFree(&scope);
      return findOutside(shader, k, range->to, ";") + 1;
    }
    if (mslIsWord(shader, k) && !mslIs(shader, k, "inline")) {
      char *word = mslWord(shader, k);
      if (word) mslTextPrint(&scope, "%s::", word);
      free(word);
    }
  }
  if (!mslIs(shader, k, "{")) {
    mslTextFree(&scope);
    return k + 1;
  }
  pushRange(scan, k + 1, mslMatch(shader, k), mslTextTake(&scope), false, 0);
  return mslMatch(shader, k) + 1;
}

/** struct, class, union or enum at token i: notes its members. Returns the token after the body or name. */
static uint32_t readRecord(Scan *scan, const Range *range, uint32_t i) {
  MslShader *shader = scan->shader;
  const bool isEnum = mslIs(shader, i, "enum");
  uint32_t k = i + 1, name = 0;
  if (isEnum && (mslIs(shader, k, "class") || mslIs(shader, k, "struct"))) k++;
  for (; k < range->to; k++) {
    if (mslIsAttribute(shader, k)) {
      k = mslMatch(shader, k);
    } else if ((mslIs(shader, k, "alignas") || mslIs(shader, k, "__attribute__")) && mslIs(shader, k + 1, "(")) {
      k = mslMatch(shader, k + 1);
    } else if (mslIsWord(shader, k)) {
      if (!name)
        name = k;
      else if (!mslIs(shader, k, "final"))
        return k; /* struct P p */
    } else if (mslIs(shader, k, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
      if (!close) return k;
      k = close;
    } else if (mslIs(shader, k, "::")) {
      name = 0;
    } else {
      break;
    }
  }
  if (mslIs(shader, k, ":")) k = findOutside(shader, k, range->to, "{;");
  if (!mslIs(shader, k, "{")) return k;
  const uint32_t close = mslMatch(shader, k);
  if (!isEnum) {
    if (name) addBody(shader, name, k, close);
    pushRange(scan, k + 1, close, strdup(""), true, name);
  }
  return close + 1;
}

/** After the parameters of a function at token i: the token of its body's brace, of the `;`, or something else. */
static uint32_t skipFunctionSuffix(const MslShader *shader, uint32_t i, uint32_t to, bool inStruct) {
  static const char *const words[] = {"const", "volatile", "noexcept", "override", "final", "&", NULL};
  for (; i < to; i++) {
    if (mslTokenIsOneOf(&shader->tokens, i, words) || mslIsAddressSpace(shader, i)) continue;
    if (mslIsAttribute(shader, i)) {
      i = mslMatch(shader, i);
    } else if (mslIs(shader, i, "__attribute__") && mslIs(shader, i + 1, "(")) {
      i = mslMatch(shader, i + 1);
    } else if (mslIs(shader, i, "->")) {
      i = findOutside(shader, i, to, "{;") - 1;
    } else if (mslIs(shader, i, ":") && inStruct) {
      /* constructor initialisers: the body is the brace after a closing bracket */
      uint32_t k = i + 1;
      for (; k < to; k++) {
        if (mslIs(shader, k, ";")) return k;
        if (mslIs(shader, k, "{") && (mslIs(shader, k - 1, ")") || mslIs(shader, k - 1, "}"))) return k;
        if (mslMatch(shader, k) > k) k = mslMatch(shader, k);
      }
      return k;
    } else {
      return i;
    }
  }
  return to;
}

static bool hasKernelWord(const MslShader *shader, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++)
    if (mslIs(shader, i, "kernel")) return true;
  return false;
}

/** Notes a function whose parameters open at token `open`. Returns the token after it; 0 if it is none after all. */
static uint32_t readFunction(Scan *scan, const Range *range, uint32_t start, uint32_t name, uint32_t open,
                             uint32_t templateOpen, uint32_t templateClose) {
  MslShader *shader = scan->shader;
  const uint32_t after = skipFunctionSuffix(shader, mslMatch(shader, open) + 1, range->to, range->inStruct);
  const bool hasBody = mslIs(shader, after, "{");
  const bool isKernel = !range->inStruct && hasKernelWord(shader, start, name);
  if (!hasBody && !isKernel) return 0;
  if (!hasBody) return mslIs(shader, after, ";") ? after + 1 : 0; /* a kernel's prototype */
  MslFunction *functions =
      mslGrow(shader, shader->functions, &shader->functionCount, &shader->functionCapacity, sizeof *functions);
  if (!functions) return range->to;
  shader->functions = functions;
  MslFunction *f = &functions[shader->functionCount - 1];
  *f = (MslFunction){.start = start,
                     .name = name,
                     .parameters = open,
                     .body = after,
                     .end = mslMatch(shader, after),
                     .templateOpen = templateOpen,
                     .templateClose = templateClose,
                     .scope = strdup(range->scope),
                     .isKernel = isKernel,
                     .isMember = range->inStruct};
  if (!f->scope) shader->outOfMemory = true;
  memset(shader->inFunction + f->body, 1, f->end - f->body);
  addBody(shader, name, open, f->end);
  /* An object's constructor and operators run without their names being written. */
  if (range->inStruct && range->owner) addBody(shader, range->owner, open, f->end);
  if (isKernel) shader->facts[shader->words[name]] |= MslWordKernel;
  return f->end + 1;
}

/** A program-scope variable in tokens [from, end): it has to be constant, and clang needs another word for that. */
static void readVariable(MslShader *shader, uint32_t from, uint32_t end) {
  uint32_t space = 0, name = 0;
  bool declares = false, isArray = false;
  for (uint32_t i = from; i < end; i++) {
    if (mslIs(shader, i, "=") || mslIs(shader, i, "{")) break;
    if (mslIs(shader, i, "extern") || mslIs(shader, i, "friend") || mslIs(shader, i, "static_assert")) return;
    if (mslIs(shader, i, "(")) {
      if (!mslIs(shader, i - 1, "decltype") && !mslIs(shader, i - 1, "alignas")) break;
      i = mslMatch(shader, i);
    } else if (mslIsAttribute(shader, i)) {
      i = mslMatch(shader, i);
    } else if (mslIs(shader, i, "[")) {
      isArray = true;
      i = mslMatch(shader, i);
    } else if (mslIs(shader, i, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, i);
      if (close) i = close;
    } else if (mslIs(shader, i, "constant")) {
      space = i + 1;
    } else if (mslIsWord(shader, i)) {
      if (name) declares = true;
      name = i;
    }
  }
  if (!declares && !(space && name)) return;
  if (!space) {
    char *word = mslWord(shader, name);
    mslError(shader, name, "program-scope variable '%s' has to be in the constant address space: write 'constant'",
             word ? word : "");
    free(word);
    return;
  }
  const MslToken *t = &shader->tokens.tokens[space - 1];
  mslEdit(shader, t->start, t->start + t->length, UINT32_MAX, strdup("const __global"));
  if (isArray) shader->facts[shader->words[name]] |= MslWordConstantArray;
}

/** Reads one declaration at token i; returns the token after it. */
static uint32_t readDeclaration(Scan *scan, const Range *range, uint32_t i) {
  MslShader *shader = scan->shader;
  const uint32_t start = i;
  uint32_t templateOpen = 0, templateClose = 0;
  while (mslIsAttribute(shader, i)) i = mslMatch(shader, i) + 1;
  if (mslIs(shader, i, ";")) return i + 1;
  if (mslIs(shader, i, "extern") && i + 2 < range->to && mslIs(shader, i + 2, "{")) {
    mslError(shader, i, "extern \"C\" is not part of MSL");
    return mslMatch(shader, i + 2) + 1;
  }
  if (mslIs(shader, i, "inline") && mslIs(shader, i + 1, "namespace")) i++;
  if (mslIs(shader, i, "namespace")) return readNamespace(scan, range, i);
  while (mslIs(shader, i, "template")) {
    if (!mslIs(shader, i + 1, "<")) {
      const uint32_t end = findOutside(shader, i, range->to, ";");
      uint32_t *list = mslGrow(shader, shader->instantiations, &shader->instantiationCount,
                               &shader->instantiationCapacity, sizeof *list);
      if (!list) return range->to;
      shader->instantiations = list;
      list[shader->instantiationCount - 1] = i;
      uint32_t scopes = shader->instantiationCount - 1;
      char **scopeList = mslGrow(shader, shader->instantiationScopes, &scopes, &shader->instantiationScopeCapacity,
                                 sizeof *scopeList);
      if (!scopeList) {
        shader->instantiationCount--;
        return range->to;
      }
      shader->instantiationScopes = scopeList;
      scopeList[shader->instantiationCount - 1] = strdup(range->scope);
      return end + 1;
    }
    templateOpen = i + 1;
    templateClose = mslTokensCloseAngle(&shader->tokens, templateOpen);
    if (!templateClose) {
      mslError(shader, i, "the template's parameter list is not closed");
      return range->to;
    }
    i = templateClose + 1;
    while (mslIsAttribute(shader, i)) i = mslMatch(shader, i) + 1;
  }
  if (mslIs(shader, i, "using") || mslIs(shader, i, "typedef")) {
    /* typedef struct { ... } A: the struct is read, the name is after it */
    for (uint32_t k = i; k < i + 3; k++)
      if (mslIs(shader, k, "struct") || mslIs(shader, k, "union") || mslIs(shader, k, "enum")) {
        readRecord(scan, range, k);
        break;
      }
    return findOutside(shader, i, range->to, ";") + 1;
  }

  uint32_t name = 0;
  bool isRecord = false;
  uint32_t k = i;
  while (k < range->to) {
    if (mslIs(shader, k, ";")) break;
    if (mslIsAttribute(shader, k)) {
      k = mslMatch(shader, k) + 1;
    } else if (!isRecord && (mslIs(shader, k, "struct") || mslIs(shader, k, "class") || mslIs(shader, k, "union") ||
                             mslIs(shader, k, "enum"))) {
      isRecord = true;
      k = readRecord(scan, range, k);
      name = 0;
    } else if (range->inStruct && mslIs(shader, k, ":") &&
               (mslIs(shader, k - 1, "public") || mslIs(shader, k - 1, "private") ||
                mslIs(shader, k - 1, "protected"))) {
      return k + 1;
    } else if (mslIs(shader, k, "operator")) {
      name = k;
      uint32_t open = k + 1;
      if (mslIs(shader, open, "(") && mslIs(shader, open + 1, ")")) open += 2;
      while (open < range->to && !mslIs(shader, open, "(") && !mslIs(shader, open, ";")) open++;
      const uint32_t end = readFunction(scan, range, start, name, open, templateOpen, templateClose);
      return end ? end : findOutside(shader, open, range->to, ";") + 1;
    } else if (mslIs(shader, k, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
      k = close ? close + 1 : k + 1;
    } else if (mslIs(shader, k, "(")) {
      static const char *const notFunctions[] = {"decltype", "alignas", "__attribute__", "static_assert", NULL};
      if (mslTokenIsOneOf(&shader->tokens, k - 1, notFunctions)) {
        k = mslMatch(shader, k) + 1;
        continue;
      }
      const uint32_t end = name ? readFunction(scan, range, start, name, k, templateOpen, templateClose) : 0;
      if (end) return end;
      /* a prototype, or a variable with an initialiser in parentheses */
      const uint32_t stop = findOutside(shader, k, range->to, ";");
      bool isConstant = false;
      for (uint32_t t = i; t < k; t++)
        if (mslIs(shader, t, "constant")) isConstant = true;
      if (isConstant && !range->inStruct && !mslIs(shader, mslMatch(shader, k) + 1, ";")) readVariable(shader, i, k);
      return stop + 1;
    } else if (mslIs(shader, k, "=") || mslIs(shader, k, "{") || mslIs(shader, k, "[")) {
      const uint32_t stop = findOutside(shader, k, range->to, ";");
      if (!range->inStruct) readVariable(shader, i, stop);
      return stop + 1;
    } else {
      if (mslIsWord(shader, k)) name = k;
      k++;
    }
  }
  if (!range->inStruct && !isRecord) readVariable(shader, i, k);
  return k + 1;
}

void mslScan(MslShader *shader) {
  Scan scan = {.shader = shader};
  markDeclaredTypes(shader);
  pushRange(&scan, 0, shader->tokens.count, strdup(""), false, 0);
  while (scan.rangeCount > 0 && !shader->outOfMemory) {
    const Range range = scan.ranges[--scan.rangeCount];
    for (uint32_t i = range.from; i < range.to && !shader->outOfMemory;) {
      const uint32_t next = readDeclaration(&scan, &range, i);
      i = next > i ? next : i + 1;
    }
    free(range.scope);
  }
  for (uint32_t i = 0; i < scan.rangeCount; i++) free(scan.ranges[i].scope);
  free(scan.ranges);
}
