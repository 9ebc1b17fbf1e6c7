/*
 * attention_turn.h: the query heads of a block, and the key and the value of the row: what biases, norms and rope_*_f32 make of
 * them. Part of attention_row.cu.
 */

/** What is at an address, aligned as it has to be, which compilers do not see of arrays of something smaller. */
template <typename T> DEVICE T &as(void *at) { return *(T *)at; }
template <typename T> DEVICE const T &as(const void *at) { return *(const T *)at; }

/** What a block keeps in shared memory. Behind it are the warps' rings, which end as their sums, and a block table. */
template <u32 HeadDim> struct AttentionPlaces {
  static constexpr u32 halfRow = HeadDim + 32; // of halves: rows begin in different banks
  float turned[AttentionRowQueries + 1][HeadDim]; // the block's heads, then the key
  float value[HeadDim];
  u16 halves[2][AttentionRowQueries][halfRow]; // attention_half.h: of the scaled queries 11 bits, and the next 11
  u16 halfKey[HeadDim], halfValue[HeadDim];
  float factors[AttentionRowQueries]; // of scores
  u32 isLast, unused[3];
  float weights[AttentionRowWarps][17][AttentionRowQueries]; // attention_float.h: of the keys of a warp's step, and corrections
};

/** 32 bits of 2/pi in binary, from bit 32 (i - 1) behind the point on; those of i = 0 are before it. */
CONSTANT_TABLE u32 twoOverPi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                   0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

/** Of x from 2^15 on, as reduceLargeAngle of metal/library/exponential.h (Payne and Hanek, 1983). */
DEVICE float reduceLargeAngle(float x, i32 &quadrant) {
  const u32 bits = bitsOf(x);
  const u64 m = (bits & 0x7fffff) | 0x800000;
  const u32 place = (bits >> 23 & 0xff) - 150 - 2 + 32;
  u32 window[3];
  UNROLL for (u32 i = 0; i < 3; i++) {
    const u64 pair = (u64)twoOverPi[place / 32 + i] << 32 | twoOverPi[place / 32 + i + 1];
    window[i] = (u32)(pair << place % 32 >> 32);
  }
  const u64 low = m * window[2], middle = m * window[1] + (low >> 32), high = m * window[0] + (middle >> 32);
  const u64 product = high << 32 | (middle & 0xffffffff);
  const i64 fraction = (i64)(product << 2);
  const i32 whole = (i32)(product >> 62) + (fraction < 0);
  const float part = (float)fraction * (0x1p-64f * 1.57079632679489662f);
  quadrant = bits >> 31 ? -whole : whole;
  return bits >> 31 ? -part : part;
}

/** x - quadrant pi/2 (Cody and Waite, 1980): three parts of pi/2 are exact enough up to 2^15. */
DEVICE float reduceAngle(float x, i32 &quadrant) {
  const float a = __builtin_fabsf(x);
  quadrant = 0;
  if (!(a < __builtin_inff())) return x - x;
  if (a >= 32768.0f) return reduceLargeAngle(x, quadrant);
  quadrant = roundToInt(x * 0.636619772367581343f);
  const float n = (float)quadrant;
  float r = multiplyAdd(n, -1.57079637050628662109375f, x);
  r = multiplyAdd(n, 4.371138828673793e-08f, r);
  return multiplyAdd(n, 1.7151245100058819e-15f, r);
}

struct Direction {
  float cosine, sine;
};

/** Polynomials of the Cephes library (Moshier, 1989). */
DEVICE Direction directionOf(float angle, float magnitude) {
  i32 quadrant;
  const float r = reduceAngle(angle, quadrant), z = r * r;
  float s = multiplyAdd(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = multiplyAdd(multiplyAdd(s, z, -1.6666654611e-1f) * z, r, r);
  float c = multiplyAdd(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = multiplyAdd(multiplyAdd(c, z, 4.166664568298827e-2f) * z, z, multiplyAdd(z, -0.5f, 1.0f));
  const float cosine = quadrant & 1 ? s : c, sine = quadrant & 1 ? c : s;
  return {magnitude * (quadrant + 1 & 2 ? -cosine : cosine), magnitude * (quadrant & 2 ? -sine : sine)};
}

/** A thread's pairs of dimensions, of several rows, from when they are asked for to when they are turned. */
template <u32 HeadDim> struct PairsOfRows {
  static constexpr u32 pairs = HeadDim / 2;
  static constexpr u32 atOnce = AttentionRowThreads / pairs; // rows; threads beyond have none
  static constexpr u32 passes = (AttentionRowQueries + 1 + atOnce - 1) / atOnce;
  u32 first, a, b;
  bool turns;
  Direction direction;
  float value;
  float xa[passes], xb[passes];

  /** How far this thread's pairs turn: that depends on nothing that earlier kernels write but the position. */
  DEVICE_MEMBER void begin(const CudaAttentionRow &p, u32 position) {
    const u32 thread = threadIndex(), pair = thread % pairs;
    first = thread / pairs;
    turns = p.frequencies != nullptr && 2 * pair < p.rotaryDims;
    a = turns && p.turnsHalves ? pair : 2 * pair;
    b = turns && p.turnsHalves ? pair + p.rotaryDims / 2 : 2 * pair + 1;
    direction = {1.0f, 0.0f};
    if (turns) direction = directionOf((float)position * p.frequencies[pair], p.magnitude);
  }

  DEVICE_MEMBER void load(const CudaAttentionRow &p, u64 firstHead, u32 group, u32 kvHead) {
    const u32 thread = threadIndex();
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      const float *x = nullptr;
      if (first < atOnce && row < group) x = p.query + (firstHead + row) * HeadDim;
      if (first < atOnce && row == AttentionRowQueries && p.key != nullptr) x = p.key + (u64)kvHead * HeadDim;
      xa[i] = x != nullptr ? x[a] : 0.0f;
      xb[i] = x != nullptr ? x[b] : 0.0f;
    }
    value = p.value != nullptr && thread < HeadDim ? p.value[(u64)kvHead * HeadDim + thread] : 0.0f;
    if (p.biases[2] != nullptr && thread < HeadDim) value += p.biases[2][(u64)kvHead * HeadDim + thread];
    if (p.biases[0] == nullptr) return;
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      const float *bias = nullptr;
      if (first < atOnce && row < group) bias = p.biases[0] + (firstHead + row) * HeadDim;
      if (first < atOnce && row == AttentionRowQueries) bias = p.biases[1] + (u64)kvHead * HeadDim;
      if (bias == nullptr) continue;
      xa[i] += bias[a];
      xb[i] += bias[b];
    }
  }

  /** Each row over the root of its mean square, times the norm's weights. All of the block come here. */
  DEVICE_MEMBER void normalise(const CudaAttentionRow &p, AttentionPlaces<HeadDim> &places) {
    const u32 warp = warpIndex(), lane = laneIndex();
    float *const factors = places.weights[0][0];
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      if (first >= atOnce || row > AttentionRowQueries) continue;
      places.turned[row][a] = xa[i];
      places.turned[row][b] = xb[i];
    }
    syncThreads();
    ROLLED for (u32 row = warp; row <= AttentionRowQueries; row += AttentionRowWarps) {
      float squares = 0.0f;
      for (u32 d = lane; d < HeadDim; d += 32) squares += places.turned[row][d] * places.turned[row][d];
      squares = reduceAddWarp(squares);
      if (lane == 0) factors[row] = fastReciprocalSqrt(squares / (float)HeadDim + p.normEpsilon);
    }
    syncThreads();
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      if (first >= atOnce || row > AttentionRowQueries) continue;
      const float *weights = p.norms[row == AttentionRowQueries];
      xa[i] *= factors[row] * weights[a];
      xb[i] *= factors[row] * weights[b];
    }
  }

  DEVICE_MEMBER void turn(AttentionPlaces<HeadDim> &places) const {
    const u32 thread = threadIndex();
    const float c = direction.cosine, s = direction.sine;
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      if (first >= atOnce || row > AttentionRowQueries) continue;
      places.turned[row][a] = turns ? xa[i] * c - xb[i] * s : xa[i];
      places.turned[row][b] = turns ? xa[i] * s + xb[i] * c : xb[i];
    }
    if (thread < HeadDim) {
      places.value[thread] = value;
      places.halfValue[thread] = floatToHalf(value);
    }
  }
};
