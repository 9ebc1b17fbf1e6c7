/*
 * shader_rules.c: refuses what MSL refuses and clang's C++ for OpenCL would let through (MSL specification, chapters 1,
 * 4 and 5), and what this layer lacks, with file and line.
 */
#include "shader.h"

#include <stdlib.h>
#include <string.h>

typedef struct Forbidden {
  const char *word, *message;
} Forbidden;

static const Forbidden forbidden[] = {
    {"double", "'double' is not part of MSL: use float"},
    {"goto", "'goto' is not part of MSL"},
    {"new", "'new' is not part of MSL"},
    {"delete", "'delete' is not part of MSL"},
    {"throw", "exceptions are not part of MSL"},
    {"try", "exceptions are not part of MSL"},
    {"catch", "exceptions are not part of MSL"},
    {"dynamic_cast", "'dynamic_cast' is not part of MSL"},
    {"typeid", "'typeid' is not part of MSL"},
    {"virtual", "virtual functions are not part of MSL"},
    {"thread_local", "'thread_local' is not part of MSL"},
    {"register", "'register' is not part of MSL"},
    {"asm", "inline assembly is not part of MSL"},
    {"__asm", "inline assembly is not part of MSL"},
    {"__asm__", "inline assembly is not part of MSL"},
    {"__global", "'__global' is not part of MSL: write 'device'"},
    {"__local", "'__local' is not part of MSL: write 'threadgroup'"},
    {"__private", "'__private' is not part of MSL: write 'thread'"},
    {"__constant", "'__constant' is not part of MSL: write 'constant'"},
    {"__generic", "'__generic' is not part of MSL"},
    {"__kernel", "'__kernel' is not part of MSL: write 'kernel'"},
    {"printf", "'printf' is not part of MSL"},
    {"vertex", "vertex functions are not supported by this layer: it computes only"},
    {"fragment", "fragment functions are not supported by this layer: it computes only"},
    {"bfloat", "bfloat is not supported by this layer"},
    {"function_constant", "function constants are not supported by this layer: use a template or an argument"},
    {"is_function_constant_defined", "function constants are not supported by this layer"},
    {"threadgroup_imageblock", "imageblocks are not supported by this layer"},
    {"ray_data", "ray tracing is not supported by this layer"},
    {"object_data", "mesh shaders are not supported by this layer"},
};

/** Types whose mention is enough. */
static const char *const textures[] = {"texture1d",
                                       "texture2d",
                                       "texture3d",
                                       "texturecube",
                                       "texture1d_array",
                                       "texture2d_array",
                                       "texturecube_array",
                                       "texture_buffer",
                                       "depth2d",
                                       "sampler",
                                       "texture2d_ms",
                                       "depthcube",
                                       "acceleration_structure",
                                       "command_buffer",
                                       "visible_function_table",
                                       "tensor",
                                       NULL};

/** Words that OpenCL reserves and MSL does not: they get another name on the way to clang. */
static const char *const reserved[] = {"local",       "global",     "generic", "pipe",    "read_only",
                                       "write_only",  "read_write", "event_t", "queue_t", "reserve_id_t",
                                       "clk_event_t", "ndrange_t",  "uniform", NULL};

static void checkWord(MslShader *shader, uint32_t i, bool inFunction) {
  const bool isMember = mslIs(shader, i - 1, ".") || mslIs(shader, i - 1, "->");
  if (isMember) return;
  for (size_t k = 0; k < sizeof forbidden / sizeof *forbidden; k++)
    if (mslIs(shader, i, forbidden[k].word)) {
      mslError(shader, i, "%s", forbidden[k].message);
      return;
    }
  if (mslTokenIsOneOf(&shader->tokens, i, textures) && mslIs(shader, i + 1, mslIs(shader, i, "sampler") ? "" : "<")) {
    mslError(shader, i, "textures, samplers and tables are not supported by this layer");
  } else if (mslIs(shader, i, "sampler") && mslIsWord(shader, i + 1)) {
    mslError(shader, i, "samplers are not supported by this layer");
  } else if (mslIs(shader, i, "long") && (mslIs(shader, i + 1, "long") || mslIs(shader, i + 1, "double"))) {
    mslError(shader, i, "'long %s' is not part of MSL: long has 64 bits",
             mslIs(shader, i + 1, "long") ? "long" : "double");
  } else if (mslIs(shader, i, "std") && mslIs(shader, i + 1, "::")) {
    mslError(shader, i, "the C++ standard library is not part of MSL");
  } else if (mslIs(shader, i, "static") && inFunction) {
    mslError(shader, i, "static variables in functions are not part of MSL: use a constant at program scope");
  }
}

static void renameReserved(MslShader *shader, uint32_t i) {
  if (!mslTokenIsOneOf(&shader->tokens, i, reserved)) return;
  const MslToken *t = &shader->tokens.tokens[i];
  mslEdit(shader, t->start + t->length, t->start + t->length, UINT32_MAX, strdup("_msl"));
}

/** A lambda: [ where an expression starts, with ( or { behind its ]. */
static void checkLambda(MslShader *shader, uint32_t i) {
  if (!mslIs(shader, i, "[") || mslIsAttribute(shader, i) || mslIs(shader, i - 1, "[")) return;
  if (mslIsWord(shader, i - 1) && !mslIs(shader, i - 1, "return")) return;
  static const char *const values[] = {")", "]", ">", "*", "&", NULL};
  if (i > 0 && mslTokenIsOneOf(&shader->tokens, i - 1, values)) return;
  const uint32_t after = mslMatch(shader, i) + 1;
  if (mslIs(shader, after, "(") || mslIs(shader, after, "{"))
    mslError(shader, i, "lambdas are not part of MSL before 3.2");
}

/** Steps from the last token of a type back to its first; sets *qualified where an address space is named. */
static uint32_t typeStart(const MslShader *shader, uint32_t i, bool *qualified) {
  static const char *const words[] = {"const",    "volatile", "struct", "class",  "enum",      "typename",
                                      "unsigned", "signed",   "static", "inline", "constexpr", "extern",
                                      "::",       "packed",   "auto",   NULL};
  for (;;) {
    if (mslIsAddressSpace(shader, i)) {
      *qualified = true;
    } else if (mslIs(shader, i, ">")) {
      uint32_t depth = 0, k = i;
      for (;; k--) {
        if (mslIs(shader, k, ">"))
          depth++;
        else if (mslIs(shader, k, "<") && --depth == 0)
          break;
        if (k == 0 || mslIs(shader, k, ";") || mslIs(shader, k, "{") || mslIs(shader, k, "}")) return i;
      }
      i = k;
    } else if (mslIs(shader, i, "]") && mslIsAttribute(shader, mslMatch(shader, i))) {
      i = mslMatch(shader, i);
    } else if (mslIs(shader, i, "*") || mslIs(shader, i, "&")) {
      /* device float *const *p: each level has its own */
      return i;
    } else if (!mslTokenIsOneOf(&shader->tokens, i, words) && !(mslFacts(shader, i) & MslWordType) &&
               !mslIs(shader, i + 1, "::") && !mslIs(shader, i + 1, "<")) {
      return i + 1;
    }
    if (i == 0) return 0;
    i--;
  }
}

/** A pointer or a reference declarator: * or & behind a type. It needs an address space. */
static void checkPointer(MslShader *shader, uint32_t i) {
  const bool isPointer = mslIs(shader, i, "*");
  const bool isReference = mslIs(shader, i, "&") || mslIs(shader, i, "&&");
  if ((!isPointer && !isReference) || i == 0) return;
  uint32_t last = i - 1;
  if (mslIs(shader, last, "(") && !isPointer && last > 0) last--; /* float (&x)[4] */
  bool isType = (mslFacts(shader, last) & MslWordType) != 0 || mslIs(shader, last, "unsigned");
  if (mslIs(shader, last, "const") || mslIs(shader, last, "volatile")) isType = last > 0;
  if (mslIs(shader, last, ">")) {
    bool ignored = false;
    const uint32_t first = typeStart(shader, last, &ignored);
    for (uint32_t k = first; k < last && !isType; k++)
      if (mslIs(shader, k + 1, "<") && ((mslFacts(shader, k) & MslWordType) || mslIs(shader, k, "vec") ||
                                        mslIs(shader, k, "simdgroup_matrix") || mslIs(shader, k, "atomic")))
        isType = true;
  }
  if (mslIsWord(shader, last) && mslIs(shader, last - 1, "::")) {
    uint32_t k = last;
    while (k > 1 && mslIs(shader, k - 1, "::")) k -= 2;
    if (k > 0 && mslIs(shader, k - 1, "typename")) isType = true;
  }
  if (!isType) return;
  if (mslIs(shader, last - 1, ".") || mslIs(shader, last - 1, "->")) return; /* a member that is named like a type */
  bool qualified = false;
  typeStart(shader, last, &qualified);
  if (qualified) return;
  mslError(shader, i, "%s needs an address space: device, constant, threadgroup or thread",
           isPointer ? "a pointer" : "a reference");
}

/** Variables in threadgroup memory belong to kernels; they have no initialiser. */
static void checkThreadgroup(MslShader *shader, const MslFunction *f) {
  if (f->isKernel) return;
  for (uint32_t i = f->body; i < f->end; i++) {
    if (!mslIs(shader, i, "threadgroup")) continue;
    if (!mslIs(shader, i - 1, ";") && !mslIs(shader, i - 1, "{") && !mslIs(shader, i - 1, "}")) continue;
    for (uint32_t k = i + 1; k < f->end; k++) {
      if (mslIs(shader, k, "*") || mslIs(shader, k, "&")) break;
      if (mslIs(shader, k, ";") || mslIs(shader, k, "=") || mslIs(shader, k, "[") || mslIs(shader, k, ",")) {
        mslError(shader, i, "variables in threadgroup memory can only be declared in a kernel: pass a pointer");
        break;
      }
      if (mslIs(shader, k, "<")) {
        const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
        if (close) k = close;
      }
    }
  }
}

/** `constant T x` inside a function, which is no pointer. */
static void checkConstantLocal(MslShader *shader, uint32_t i) {
  if (!mslIs(shader, i, "constant")) return;
  if (!mslIs(shader, i - 1, ";") && !mslIs(shader, i - 1, "{") && !mslIs(shader, i - 1, "}") &&
      !mslIs(shader, i - 1, "constexpr"))
    return;
  for (uint32_t k = i + 1; k < shader->tokens.count; k++) {
    if (mslIs(shader, k, "*") || mslIs(shader, k, "&")) return;
    if (mslIs(shader, k, "<")) {
      const uint32_t close = mslTokensCloseAngle(&shader->tokens, k);
      if (close) k = close;
      continue;
    }
    if (mslIs(shader, k, ";") || mslIs(shader, k, "=") || mslIs(shader, k, "[") || mslIs(shader, k, "{")) {
      mslError(shader, i, "a variable in the constant address space has to be at program scope");
      return;
    }
  }
}

void mslCheckRules(MslShader *shader) {
  for (uint32_t f = 0; f < shader->functionCount; f++) checkThreadgroup(shader, &shader->functions[f]);
  for (uint32_t i = 0; i < shader->tokens.count && !shader->outOfMemory; i++) {
    if (mslIsWord(shader, i)) {
      checkWord(shader, i, shader->inFunction[i]);
      renameReserved(shader, i);
      if (shader->inFunction[i]) checkConstantLocal(shader, i);
    } else {
      checkPointer(shader, i);
      if (shader->inFunction[i]) checkLambda(shader, i);
    }
  }
}
