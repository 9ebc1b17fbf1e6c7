/* embed.h: parameters of embed.cu, which embed_plan.c fills. Names and meanings are those of the shaders. */
#ifndef BUN_METAL_CUDA_NATIVE_EMBED_H
#define BUN_METAL_CUDA_NATIVE_EMBED_H

#include <stdint.h>

enum { EmbedThreads = 256 };

typedef enum EmbedType { EmbedF32, EmbedF16, EmbedBF16, EmbedQ8_0, EmbedQ4_0, EmbedQ4_K, EmbedQ5_K, EmbedQ6_K } EmbedType;

typedef struct CudaEmbed {
  const void *table;      /* [vocab, n] */
  const uint32_t *tokens; /* [rows] */
  const uint32_t *chosen; /* [places]: Chosen; NULL where tokens are tokens */
  uint32_t *plainTokens;  /* [rows]; NULL where tokens are tokens */
  float *out;             /* [rows, n] */
  uint32_t n, vocab, places;
  uint32_t type; /* EmbedType */
} CudaEmbed;

#endif
