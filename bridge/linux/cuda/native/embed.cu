/*
 * embed.cu: rows of a table by tokens, and before that the tokens that were chosen on the device: the first two waits of a
 * token. A thread makes one number, as what is read is little.
 */
#include "embed.h"
#include "intrinsics.h"
#include "shader_args.h"

constexpr u32 ChosenWords = 3; // struct Chosen of shaders/sample.metal

DEVICE float halfAt(const u8 *at) { return halfToFloat((u16)(at[0] | at[1] << 8)); }

struct Factors {
  float scale, minimum;
};

/** Of sub-block s of 32 numbers of a block of Q4_K or Q5_K. */
DEVICE Factors factorsOf(const u8 *block, u32 s) {
  const u8 *six = block + 4;
  const u32 scale = s < 4 ? six[s] & 63 : (six[s + 4] & 15) | (six[s - 4] >> 6) << 4;
  const u32 minimum = s < 4 ? six[s + 4] & 63 : six[s + 4] >> 4 | (six[s] >> 6) << 4;
  return {halfAt(block) * (float)scale, halfAt(block + 2) * (float)minimum};
}

/** Number e of a row, as shaders/blocks.h has it. */
DEVICE float numberOf(const u8 *row, u32 type, u32 e) {
  switch (type) {
    case EmbedF32: return ((const float *)row)[e];
    case EmbedF16: return halfToFloat(((const u16 *)row)[e]);
    case EmbedBF16: return bfloatToFloat(((const u16 *)row)[e]);
    case EmbedQ8_0: {
      const u8 *block = row + (u64)(e / 32) * 34;
      return halfAt(block) * (float)(i8)block[2 + e % 32];
    }
    case EmbedQ4_0: {
      const u8 *block = row + (u64)(e / 32) * 18;
      return halfAt(block) * (float)((i32)(block[2 + e % 16] >> (e % 32 / 16 * 4) & 15) - 8);
    }
    default: break;
  }
  const u32 i = e % 256, inner = i % 32;
  if (type == EmbedQ6_K) {
    const u8 *block = row + (u64)(e / 256) * 210;
    const u32 low = block[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
    const u32 high = block[128 + i / 128 * 32 + inner] >> (i % 128 / 32 * 2) & 3;
    return halfAt(block + 208) * (float)(i8)block[192 + i / 16] * (float)((i32)(low | high << 4) - 32);
  }
  const bool hasFifth = type == EmbedQ5_K;
  const u8 *block = row + (u64)(e / 256) * (hasFifth ? 176 : 144), *nibbles = block + (hasFifth ? 48 : 16);
  const Factors factors = factorsOf(block, i / 32);
  u32 quant = nibbles[i / 64 * 32 + inner] >> (i / 32 % 2 * 4) & 15;
  if (hasFifth) quant |= (block[16 + inner] >> (i / 32) & 1) << 4;
  return factors.scale * (float)quant - factors.minimum;
}

DEVICE u64 rowBytes(u32 type, u32 n) {
  switch (type) {
    case EmbedF32: return (u64)n * 4;
    case EmbedF16:
    case EmbedBF16: return (u64)n * 2;
    case EmbedQ8_0: return (u64)(n / 32) * 34;
    case EmbedQ4_0: return (u64)(n / 32) * 18;
    case EmbedQ4_K: return (u64)(n / 256) * 144;
    case EmbedQ5_K: return (u64)(n / 256) * 176;
    default: return (u64)(n / 256) * 210;
  }
}

GLOBAL(EmbedThreads, 4) void embed_tokens(const CudaEmbed p) {
  const u32 row = blockIndexY(), e = blockIndexX() * EmbedThreads + threadIndex();
  allowNext();
  waitForPrevious();
  u32 token = p.tokens[row];
  if (p.chosen != nullptr) {
    const u32 place = token & ~FromChosen;
    if (token & FromChosen) token = place < p.places ? p.chosen[place * ChosenWords] : (u32)NoToken;
    if (e == 0) p.plainTokens[row] = token;
  }
  if (e >= p.n) return;
  p.out[(u64)row * p.n + e] = token < p.vocab ? numberOf((const u8 *)p.table + token * rowBytes(p.type, p.n), p.type, e) : 0.0f;
}
