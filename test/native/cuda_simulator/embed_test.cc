/* Rows of a table by tokens (bridge/linux/cuda/native/embed.cu), in the simulator, against what was put into the table. */
#include "run.h"

#include "cuda/native/embed.cu"

extern "C" CudaNativePlan cudaEmbedPlan;

static const SimulatedKernel kernels[] = {SIMULATED(embed_tokens)};

static Random numbers;

/* A row of random blocks, packed as GGUF's types are described, and the numbers that they mean. */
struct Packer {
  u8 *bytes;
  double *values;

  u16 half(u8 *at, float size) {
    const u16 h = floatToHalf(size * numbers.number());
    at[0] = (u8)h, at[1] = (u8)(h >> 8);
    return h;
  }
  void pack(u32 type, u32 n) {
    memset(bytes, 0, rowBytes(type, n));
    if (type == EmbedF32) {
      for (u32 i = 0; i < n; i++) values[i] = (double)(((float *)bytes)[i] = numbers.number());
    } else if (type == EmbedF16 || type == EmbedBF16) {
      for (u32 i = 0; i < n; i++) {
        const u16 word = type == EmbedF16 ? floatToHalf(numbers.number()) : floatToBfloat(numbers.number());
        ((u16 *)bytes)[i] = word;
        values[i] = (double)(type == EmbedF16 ? halfToFloat(word) : bfloatToFloat(word));
      }
    } else if (type == EmbedQ8_0 || type == EmbedQ4_0) {
      for (u32 b = 0; b < n / 32; b++) packSmall(type, bytes + b * (type == EmbedQ8_0 ? 34 : 18), values + 32 * b);
    } else {
      for (u32 b = 0; b < n / 256; b++)
        packSuper(type, bytes + b * (type == EmbedQ4_K ? 144 : type == EmbedQ5_K ? 176 : 210), values + 256 * b);
    }
  }
  void packSmall(u32 type, u8 *block, double *out) {
    const double d = (double)halfToFloat(half(block, 0.1f));
    for (u32 i = 0; i < 32; i++) {
      const u32 q = numbers.below(type == EmbedQ8_0 ? 256 : 16);
      if (type == EmbedQ8_0) block[2 + i] = (u8)q, out[i] = d * (i8)q;
      else block[2 + i % 16] |= (u8)(q << (i < 16 ? 0 : 4)), out[i] = d * ((double)q - 8);
    }
  }
  void packSuper(u32 type, u8 *block, double *out) {
    if (type == EmbedQ6_K) {
      const double d = (double)halfToFloat(half(block + 208, 0.01f));
      for (u32 s = 0; s < 16; s++) block[192 + s] = (u8)numbers.below(256);
      for (u32 i = 0; i < 256; i++) {
        const u32 q = numbers.below(64), part = i / 128, inner = i % 128;
        block[64 * part + inner % 64] |= (u8)((q & 15) << (inner < 64 ? 0 : 4));
        block[128 + 32 * part + inner % 32] |= (u8)(q >> 4 << (2 * (inner / 32)));
        out[i] = d * (i8)block[192 + i / 16] * ((double)q - 32);
      }
      return;
    }
    const double d = (double)halfToFloat(half(block, 0.01f)), dmin = (double)halfToFloat(half(block + 2, 0.01f));
    u32 scales[8], minima[8];
    for (u32 s = 0; s < 8; s++) {
      scales[s] = numbers.below(64), minima[s] = numbers.below(64);
      u8 *six = block + 4;
      if (s < 4) {
        six[s] |= (u8)scales[s], six[s + 4] |= (u8)minima[s];
      } else {
        six[s + 4] |= (u8)((scales[s] & 15) | (minima[s] & 15) << 4);
        six[s - 4] |= (u8)(scales[s] >> 4 << 6), six[s] |= (u8)(minima[s] >> 4 << 6);
      }
    }
    for (u32 i = 0; i < 256; i++) {
      const u32 q = numbers.below(type == EmbedQ5_K ? 32 : 16), s = i / 32;
      block[(type == EmbedQ5_K ? 48 : 16) + i / 64 * 32 + i % 32] |= (u8)((q & 15) << (s % 2 * 4));
      if (type == EmbedQ5_K) block[16 + i % 32] |= (u8)(q >> 4 << s);
      out[i] = d * scales[s] * q - dmin * minima[s];
    }
  }
};

static void findsRows() {
  const char *names[] = {"embed_f32",  "embed_f16",  "embed_bf16", "embed_q8_0",
                         "embed_q4_0", "embed_q4_k", "embed_q5_k", "embed_q6_k"};
  for (u32 type = 0; type < 8; type++) {
    for (u32 chooses = 0; chooses < 2; chooses++) {
      const u32 n = 512, vocab = 5, rows = 6, places = 3, none = 0xffffffff;
      const u64 bytes = rowBytes(type, n);
      SimulatedBuffer<u8> table(vocab * bytes);
      SimulatedBuffer<double> values(vocab * n);
      for (u32 r = 0; r < vocab; r++) Packer{table.items + r * bytes, values.items + r * n}.pack(type, n);
      SimulatedBuffer<u32> tokens(rows), plain(rows), chosen(3 * places);
      SimulatedBuffer<float> out(rows * n);
      chosen[0] = 2, chosen[3] = none, chosen[6] = 4;
      const u32 given[rows] = {3, FromChosen, FromChosen + 2, FromChosen + 1, FromChosen + 3, 5};
      const u32 meant[rows] = {3, 2, 4, none, none, 5};
      for (u32 r = 0; r < rows; r++) tokens[r] = chooses ? given[r] : meant[r];
      const EmbedArgs args = {n, vocab};
      const ChosenArgs chosenArgs = {places};
      SimulatedCommand choose("chosen_tokens"), embed(names[type]);
      choose.bind(0, tokens), choose.bind(1, chosen), choose.bind(2, plain), choose.constant(3, chosenArgs);
      choose.dispatch(1, rows, 1, 1, 1, 1);
      embed.bind(0, table), embed.bind(1, chooses ? plain : tokens), embed.bind(2, out), embed.constant(3, args);
      embed.dispatch(type < 3 ? n : n / 16, rows, 1, 256, 1, 1);
      const CudaNativeCommand commands[] = {choose.command, embed.command};
      const u32 count = 1 + chooses;
      CHECK_NUMBER(simulatePlan(cudaEmbedPlan, &simulatedH200, commands + !chooses, count, kernels, numbers.next()), count);
      for (u32 r = 0; r < rows; r++) {
        if (chooses) CHECK_NUMBER(plain[r], meant[r]);
        for (u32 i = 0; i < n; i++) {
          const double wanted = meant[r] < vocab ? values[meant[r] * n + i] : 0;
          CHECK(fabs((double)out[r * n + i] - wanted) <= fabs(wanted) * 0x1p-23 + 0x1p-22);
        }
      }
    }
  }
}

static void declines() {
  SimulatedBuffer<float> table(64), out(64);
  SimulatedBuffer<u32> tokens(4), plain(4), chosen(12);
  EmbedArgs args = {16, 4};
  ChosenArgs chosenArgs = {4};
  SimulatedCommand choose("chosen_tokens"), embed("embed_f32");
  choose.bind(0, tokens), choose.bind(1, chosen), choose.bind(2, plain), choose.constant(3, chosenArgs);
  choose.dispatch(1, 4, 1, 1, 1, 1);
  embed.bind(0, table), embed.bind(1, plain), embed.bind(2, out), embed.constant(3, args);
  embed.dispatch(16, 4, 1, 256, 1, 1);
  CudaNativeLaunch launch;
  const auto takes = [&] {
    const CudaNativeCommand commands[] = {choose.command, embed.command};
    return cudaEmbedPlan(&simulatedH200, commands, 2, &launch);
  };
  CHECK_NUMBER(takes(), 2);
  args.vocab = 5;
  CHECK_NUMBER(takes(), 0);
  args.vocab = 4, embed.bind(1, tokens); // not what was chosen
  CHECK_NUMBER(takes(), 0);
  embed.bind(1, plain), choose.bind(2, tokens);
  CHECK_NUMBER(takes(), 0);
  choose.bind(2, plain), chosenArgs.places = 5;
  CHECK_NUMBER(takes(), 0);
  chosenArgs.places = 4, embed.bind(2, plain);
  CHECK_NUMBER(takes(), 0);
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, 6);
  RUN_CASE(findsRows);
  RUN_CASE(declines);
  return finishCases();
}
