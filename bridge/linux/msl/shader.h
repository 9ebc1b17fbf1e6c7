/*
 * shader.h: what the MSL tool knows about one source file. shader_scan.c finds declarations, shader_rules.c refuses
 * what MSL refuses, shader_kernel.c reads kernels, shader_rewrite.c and shader_entry.c write what clang compiles.
 */
#ifndef BUN_METAL_MSL_SHADER_H
#define BUN_METAL_MSL_SHADER_H

#include "target.h"
#include "text.h"
#include "tokens.h"

/** What is known about a word, by its id. */
enum {
  MslWordType = 1,          /* names a type: struct, typedef, alias, template parameter */
  MslWordAlias = 2,         /* of them: may be a vector type, so that T(x) is a conversion */
  MslWordSynchronises = 4,  /* waits for other threads: a library function, or a function that calls one */
  MslWordConstantArray = 8, /* a program-scope array */
  MslWordKernel = 16,
  MslWordVector = 32,     /* a vector type of the language */
  MslWordBuiltinType = 64 /* a type of the language */
};

typedef struct MslFunction {
  uint32_t start;                       /* first token of the declaration, `template` included */
  uint32_t name;                        /* token */
  uint32_t parameters;                  /* token: ( */
  uint32_t body, end;                   /* tokens: { and }; 0 without a body */
  uint32_t templateOpen, templateClose; /* tokens: < and >; 0 when not a template */
  char *scope;                          /* "a::b::", or "" */
  bool isKernel, isMember;
  uint32_t kernel; /* index of the kernel */
} MslFunction;

/** Tokens whose words decide whether the word `name` synchronises. */
typedef struct MslBody {
  uint32_t name, from, to;
} MslBody;

typedef enum MslSource { MslFromBuffer, MslFromThreadgroup, MslFromValue } MslSource;

typedef struct MslArgument {
  uint32_t name; /* token */
  MslSource source;
  char *index; /* C++ text: an index, or the name of a value */
} MslArgument;

typedef struct MslKernel {
  uint32_t function;
  MslArgument *arguments;
  uint32_t argumentCount, argumentCapacity;
  uint32_t threadgroupVariables;         /* how many */
  uint32_t maxThreadsFrom, maxThreadsTo; /* tokens of the attribute's argument; 0, 0 without */
  char *hostName;                        /* from the attribute; NULL without */
} MslKernel;

/** One function that the host can find. */
typedef struct MslEntry {
  char *hostName;
  char *templateArguments; /* "< half , 4 >", or "" */
  uint32_t kernel;
  uint32_t token; /* where it was asked for */
} MslEntry;

/** Replaces source bytes [start, end). */
typedef struct MslEdit {
  uint32_t start, end;
  uint32_t order;
  uint32_t token; /* the token that follows, for a line marker; UINT32_MAX where lines do not change */
  char *text;
} MslEdit;

typedef struct MslShader {
  MslTokens tokens;
  uint32_t *words; /* id of each token that is a word, else 0 */
  uint8_t *facts;  /* by word id */
  uint32_t wordCount;
  bool *inFunction; /* by token: in the body of a function */

  MslFunction *functions;
  uint32_t functionCount, functionCapacity;
  MslBody *bodies;
  uint32_t bodyCount, bodyCapacity;
  MslKernel *kernels;
  uint32_t kernelCount, kernelCapacity;
  MslEntry *entries;
  uint32_t entryCount, entryCapacity;
  MslEdit *edits;
  uint32_t editCount, editCapacity;
  uint32_t *instantiations; /* tokens: `template` of explicit instantiations */
  char **instantiationScopes;
  uint32_t instantiationCount, instantiationCapacity, instantiationScopeCapacity;

  bool extendsMetal;       /* declares something in namespace metal */
  bool usesThreadElements; /* of a simdgroup_matrix */
  bool isOwn;              /* one of the shaders that ship: shaders/args.h */
  bool isRewritten;
  MslText errors;
  uint32_t errorCount;
  bool outOfMemory;
} MslShader;

/** Reads preprocessed source (kept by the caller); false with text in `errors` if it is refused. Free in any case. */
bool mslShaderRead(MslShader *shader, const char *source, size_t length);
void mslShaderFree(MslShader *shader);

/** Whether a kernel's threads wait for each other. */
bool mslShaderSynchronises(const MslShader *shader, uint32_t kernel);

/** What clang compiles for a kind of device, as C++ for OpenCL; a malloc'ed string, NULL when out of memory or with text in
 * `errors`. */
char *mslShaderWrite(MslShader *shader, MslDevice device);

/** The symbol of an entry for CUDA devices, made of its number and its host name; malloc'ed. */
char *mslEntryName(uint32_t entry, const char *hostName);

/* For the parts of the tool. */

void mslError(MslShader *shader, uint32_t token, const char *format, ...) __attribute__((format(printf, 3, 4)));
void mslEdit(MslShader *shader, uint32_t start, uint32_t end, uint32_t token, char *text);
/** Grows an array by one zeroed element; NULL when out of memory. */
void *mslGrow(MslShader *shader, void *array, uint32_t *count, uint32_t *capacity, size_t size);
uint8_t mslFacts(const MslShader *shader, uint32_t token);
bool mslIs(const MslShader *shader, uint32_t token, const char *text);
bool mslIsWord(const MslShader *shader, uint32_t token);
uint32_t mslMatch(const MslShader *shader, uint32_t token);
/** A malloc'ed copy of a word. */
char *mslWord(MslShader *shader, uint32_t token);
/** Whether [[ starts at the token. */
bool mslIsAttribute(const MslShader *shader, uint32_t token);
bool mslIsAddressSpace(const MslShader *shader, uint32_t token);

/** A line marker for the line of a token. */
void mslPutMarker(const MslShader *shader, MslText *out, uint32_t token);

void mslWriteEntries(MslShader *shader, MslDevice device, MslText *out);
void mslScan(MslShader *shader);
void mslCheckRules(MslShader *shader);
void mslReadKernels(MslShader *shader);

#endif
