/* Rows of a table by tokens (bridge/linux/cuda/native/embed.cu), in the simulator, against what was put into the table. */
#include "gguf.h"
#include "run.h"

#include "cuda/native/embed.cu"

extern "C" CudaNativePlan cudaEmbedPlan;

static const SimulatedKernel kernels[] = {SIMULATED(embed_tokens)};

static Random numbers;
static gguf::Random weightNumbers;

static void findsRows() {
  const char *names[] = {"embed_f32",  "embed_f16",  "embed_bf16", "embed_q8_0",
                         "embed_q4_0", "embed_q4_k", "embed_q5_k", "embed_q6_k"};
  for (const char *name : names) {
    const gguf::WeightType &type = gguf::typeNamed(name + strlen("embed_"));
    for (u32 chooses = 0; chooses < 2; chooses++) {
      const u32 n = 512, vocab = 5, rows = 6, places = 3;
      const u64 blocks = n / type.elements;
      SimulatedBuffer<u8> table(vocab * blocks * type.bytes);
      /* Scales with which numbers are some ones in size. */
      const int exponent = type.elements == 256 ? -7 : type.elements == 32 ? -4 : 0;
      gguf::randomWeights(&type, table.items, vocab * blocks, exponent, &weightNumbers);
      SimulatedBuffer<u32> tokens(rows), plain(rows), chosen(3 * places);
      SimulatedBuffer<float> out(rows * n);
      chosen[0] = 2, chosen[3] = NoToken, chosen[6] = 4;
      const u32 given[rows] = {3, FromChosen, FromChosen + 2, FromChosen + 1, FromChosen + 3, 5};
      const u32 meant[rows] = {3, 2, 4, NoToken, NoToken, 5};
      for (u32 r = 0; r < rows; r++) tokens[r] = chooses ? given[r] : meant[r];
      const EmbedArgs args = {n, vocab};
      const ChosenArgs chosenArgs = {places};
      SimulatedCommand choose("chosen_tokens"), embed(name);
      choose.bind(0, tokens), choose.bind(1, chosen), choose.bind(2, plain), choose.constant(3, chosenArgs);
      choose.dispatch(1, rows, 1, 1, 1, 1);
      embed.bind(0, table), embed.bind(1, chooses ? plain : tokens), embed.bind(2, out), embed.constant(3, args);
      embed.dispatch(type.elements == 1 ? n : n / 16, rows, 1, 256, 1, 1);
      const CudaNativeCommand commands[] = {choose.command, embed.command};
      const u32 count = 1 + chooses;
      CHECK_NUMBER(simulatePlan(cudaEmbedPlan, &simulatedH200, commands + !chooses, count, kernels, numbers.next()), count);
      for (u32 r = 0; r < rows; r++) {
        if (chooses) CHECK_NUMBER(plain[r], meant[r]);
        for (u32 i = 0; i < n; i++) {
          const u64 block = (meant[r] < vocab ? meant[r] : 0) * blocks + i / type.elements;
          const double number = type.element(table.items + block * type.bytes, i % type.elements);
          const double wanted = meant[r] < vocab ? number : 0;
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
  const auto takes = [&] {
    const CudaNativeCommand commands[] = {choose.command, embed.command};
    return takenBy(cudaEmbedPlan, commands, 2);
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
  weightNumbers.state = numbers.state | 1;
  RUN_CASE(findsRows);
  RUN_CASE(declines);
  return finishCases();
}
