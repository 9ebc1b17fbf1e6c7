/*
 * attention_tiled_queries.h: the queries of a warp, which tensor cores multiply with keys, and the runs of their rows. Part of
 * attention_tiled.cu.
 */
#ifndef BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_QUERIES_H
#define BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_QUERIES_H

constexpr float Unseen = -__builtin_inff();

/** What a lane knows of a query: row g or g + 8 of a fragment, with g = lane / 4. */
struct Query {
  u32 begin, end; // positions that it sees, in a run of its sequence
  float factor;   // a score is the product of what is staged, times this
  float maximum;  // of the scores so far, times log2(e)
  float total;    // of the weights that this lane made
};

/** The queries of a warp as operands, [fragment, step of 16 dimensions]. */
template <u32 Width, u32 Fragments, bool IsShared> struct Operands;
template <u32 Width, u32 Fragments> struct Operands<Width, Fragments, false> {
  u32 words[Fragments][Width / 16][4];
  DEVICE_MEMBER explicit Operands(unsigned char *) {}
  DEVICE_MEMBER void store(u32 fragment, u32 step, const u32 (&a)[4]) {
    for (u32 i = 0; i < 4; ++i) words[fragment][step][i] = a[i];
  }
  DEVICE_MEMBER void load(u32 fragment, u32 step, u32 (&a)[4]) const {
    for (u32 i = 0; i < 4; ++i) a[i] = words[fragment][step][i];
  }
};
/** In shared memory: each lane reads what it wrote. */
template <u32 Width, u32 Fragments> struct Operands<Width, Fragments, true> {
  u32x4 *place;
  DEVICE_MEMBER explicit Operands(unsigned char *memory)
      : place((u32x4 *)memory + warpIndex() * Fragments * (Width / 16) * 32 + laneIndex()) {}
  DEVICE_MEMBER void store(u32 fragment, u32 step, const u32 (&a)[4]) {
    place[(fragment * (Width / 16) + step) * 32] = u32x4{a[0], a[1], a[2], a[3]};
  }
  DEVICE_MEMBER void load(u32 fragment, u32 step, u32 (&a)[4]) const {
    const u32x4 v = place[(fragment * (Width / 16) + step) * 32];
    for (u32 i = 0; i < 4; ++i) a[i] = v[i];
  }
};

/**
 * Scaled queries in half precision. Each is multiplied by a power of two that brings the largest of its numbers to 2^14 .. 2^15:
 * nothing overflows, and what is 2^-28 of the largest still has all 11 bits. So rounding is by 2^-11 of a number at most.
 */
template <u32 Width, u32 Fragments, bool IsShared>
DEVICE void fillQueries(Operands<Width, Fragments, IsShared> &operands, Query (&queries)[Fragments][2],
                        const float *const (&places)[Fragments][2], u32 headDim, float scale) {
  const u32 t = laneIndex() % 4;
  UNROLL for (u32 f = 0; f < Fragments; ++f) {
    u32 words[2][Width / 8];
    UNROLL for (u32 half = 0; half < 2; ++half) {
      f32x2 values[Width / 8];
      float largest = 0.0f;
      UNROLL for (u32 i = 0; i < Width / 8; ++i) {
        values[i] = f32x2{0.0f, 0.0f};
        if (8 * i < headDim) values[i] = *(const f32x2 *)(places[f][half] + 8 * i + 2 * t) * (scale * Log2OfE);
        largest = maximum(largest, maximum(magnitude(values[i].x), magnitude(values[i].y)));
      }
      largest = maximum(largest, shuffleXor(largest, 1));
      largest = maximum(largest, shuffleXor(largest, 2));
      const i32 exponent = maximum(exponentOf(largest), -100) - 14;
      const float inverse = powerOfTwo(-exponent);
      queries[f][half].factor = powerOfTwo(exponent);
      UNROLL for (u32 i = 0; i < Width / 8; ++i) words[half][i] = floatsToHalves(values[i].x * inverse, values[i].y * inverse);
    }
    UNROLL for (u32 step = 0; step < Width / 16; ++step) {
      const u32 a[4] = {words[0][2 * step], words[1][2 * step], words[0][2 * step + 1], words[1][2 * step + 1]};
      operands.store(f, step, a);
    }
  }
}

/** Rows of a tile of one sequence, and the keys that any of them sees. */
struct Run {
  u32 rowBegin, rowEnd, sequence, begin, end;
};

/** The run of rows from `row` on. All lanes of a warp take part. */
DEVICE Run findRun(const u32 *positions, const u32 *sequences, u32 row, u32 rows, u32 window) {
  Run run = {row, row, sequences[row], 0xffffffff, 0};
  for (bool isSame = true; isSame && run.rowEnd < rows;) {
    const u32 own = run.rowEnd + laneIndex();
    const u32 others = ballot(own < rows && sequences[minimum(own, rows - 1)] != run.sequence);
    const u32 length = minimum(rows - run.rowEnd, others == 0 ? 32 : (u32)__builtin_ctz(others));
    if (laneIndex() < length) {
      const u32 end = positions[own] + 1;
      run.begin = minimum(run.begin, end - minimum(end, window));
      run.end = maximum(run.end, end);
    }
    run.rowEnd += length;
    isSame = others == 0;
  }
  run.begin = ~reduceMaxWarp(~run.begin);
  run.end = reduceMaxWarp(run.end);
  return run;
}

#endif
