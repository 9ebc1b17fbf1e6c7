/*
 * args.h: the argument structs of the kernels, bound as inline constants at each kernel's last buffer index.
 *
 * Every field is 32 bits, so that the host writes them one after the other, in this order, with no padding. Counts are
 * 32 bits wide; a kernel widens to 64 before it multiplies two of them into an offset.
 */
#ifndef BUN_METAL_ARGS_H
#define BUN_METAL_ARGS_H

#ifdef __METAL_LINUX__
// By this name the CPU device knows kernels for which it has native ones (bridge/linux/cpu/native): others may be called the
// same and do something else. And CUDA devices know by it that SIMD-group functions are called by all threads of a SIMD group
// that have not returned, or by none.
extern "C" __attribute__((weak, used, visibility("default"))) void bun_metal_has_native_kernels() {}
#endif

/** Row-wise kernels: rows of `n` elements. */
struct RowArgs {
  uint n;
};

/** embed: rows of `n` elements, a table of `vocab` rows. */
struct EmbedArgs {
  uint n;
  uint vocab;
};

/** rmsnorm, add_rmsnorm: rows of `n` elements, `eps` is added to the mean square. */
struct RmsNormArgs {
  uint n;
  float eps;
};

/** softmax: rows of `n` elements, multiplied by `scale` first. */
struct SoftmaxArgs {
  uint n;
  float scale;
};

/** scale, softcap: rows of `n` elements, and the factor or the cap. */
struct ScaleArgs {
  uint n;
  float factor;
};

/** rope: rows of `heads` x `headDim`; the first `rotaryDims` of each head are rotated, and `magnitude` times as long. */
struct RopeArgs {
  uint heads;
  uint headDim;
  uint rotaryDims;
  float magnitude;
};

/** attention: `heads` query heads share `kvHeads` key and value heads, in consecutive groups of heads / kvHeads. */
struct AttentionArgs {
  uint heads;
  uint kvHeads;
  uint headDim;
  uint blockSize;         // positions per block of the cache
  uint blocksPerSequence; // length of a block table
  float scale;            // of a score before the softmax, 1 / sqrt(headDim) as a rule
  float softCap;          // scores become softCap * tanh(score / softCap); 0: they stay
  uint window;            // a row sees so many keys, its own the last; NoWindow: all
  uint splits;            // parts that the keys of a row are shared out to; 1 in attention_tiled
};

/** attention_reduce: as above. */
struct AttentionReduceArgs {
  uint heads;
  uint headDim;
  uint window;
  uint splits;
};

/** attention_scores: as above, over `nKeys` keys that lie one after the other. */
struct AttentionScoresArgs {
  uint heads;
  uint kvHeads;
  uint headDim;
  uint nKeys;
  uint firstPosition; // position of row 0, or NoMask
  float scale;
};

/** attention_weighted_sum. */
struct AttentionWeightedSumArgs {
  uint heads;
  uint kvHeads;
  uint headDim;
  uint nKeys;
};

/** matvec, matmul: weights [n, k], activations [rows, k], outputs [rows, n]. */
struct MatrixArgs {
  uint n;
  uint k;
};

/** matvec_fused: as above, with what is done before and after the product. */
struct FusedMatrixArgs {
  uint n;
  uint k;
  uint normalises; // 1: x is normalised first
  float eps;       // is added to the mean square of x
  uint ending;     // EndingAdd, EndingSilu, EndingGelu, or 0
};

/** matvec_experts: weights [experts, n, k]; each row of activations makes `share` rows of outputs. */
struct ExpertMatrixArgs {
  uint n;
  uint k;
  uint experts;
  uint share;
};

/** route_experts: scores [rows, experts], of which the best `used` are chosen. */
struct RouteArgs {
  uint experts;
  uint used;
};

/** mix_experts: outputs [rows, used, n]. */
struct MixArgs {
  uint n;
  uint used;
};

/** sample: rows of `n` logits, room for `places` choices that were made. */
struct SampleArgs {
  uint n;
  uint places;
};

/** chosen_tokens: `places` choices that were made. */
struct ChosenArgs {
  uint places;
};

enum : uint {
  EndingAdd = 1,           // FusedMatrixArgs.ending: a residual is added to the outputs
  EndingSilu = 2,          // the outputs are gates of a second matrix's: SwiGLU
  EndingGelu = 3,          // the same with GeLU: GeGLU
  NoMask = 0xFFFFFFFF,     // AttentionScoresArgs.firstPosition: every row sees every key
  NoWindow = 0xFFFFFFFF,   // AttentionArgs.window: a row sees all keys up to its own
  SkippedSlot = 0xFFFFFFFF, // kv_store: this row is not stored
  FaultNaN = 1,            // Chosen.fault: a logit is NaN
  FaultInfinity = 2,       // a logit is +INFINITY
  FaultNothing = 3,        // no logit is above -INFINITY
  NoToken = 0xFFFFFFFF,    // Chosen.token: nothing was chosen
  FromChosen = 0x80000000  // chosen_tokens: the rest of the token is the place of a choice
};

#endif
