#include "error.h"
#include "model.h"

#include <string.h>

/* The smallest step that has room for the rows, else the largest. */
static ModelStep *stepFor(const Model *model, uint32_t rows) {
  uint32_t i = 0;
  while (i + 1 < model->plan.programCount && model->plan.programs[i].rows < rows) i++;
  return &model->steps[i];
}

/* Writes what a run is about: its tokens, where they are in the text and in the cache, and which row gets logits. */
static void fillWords(const Model *model, const ModelStep *step, uint32_t rows, bool wantsLogits) {
  const PlanProgram *plan = step->plan;
  uint32_t *words = step->words, first = model->computed;
  bool picksRows = plan->wanted != PLAN_NONE;
  uint32_t wantedRows = wantsLogits ? 1 : 0;
  words[plan->rowsWord] = rows;
  memcpy(words + plan->tokens, model->tokens + first, rows * sizeof *words);
  for (uint32_t i = 0; i < rows; i++) {
    words[plan->positions + i] = first + i;
    words[plan->slots + i] = first + i; // one text, whose blocks lie in order: slot and position are the same
  }
  if (picksRows) {
    words[plan->wantedRowsWord] = wantedRows;
    words[plan->wanted] = rows - 1;
  }
  for (uint32_t i = 0; i < plan->derivedCount; i++) {
    const uint32_t *derived = &plan->derived[3 * i];
    words[derived[2]] = derived[1] * (derived[0] == 0 ? rows : wantedRows);
  }
}

/* Computes the text up to its end, in as few steps as there is room for. */
static bm_status compute(Model *model) {
  while (model->computed < model->count) {
    uint32_t left = model->count - model->computed;
    uint32_t rows = left < model->plan.rows ? left : model->plan.rows;
    const ModelStep *step = stepFor(model, rows);
    fillWords(model, step, rows, rows == left);
    if (bm_program_run(model->queue, step->program, step->words, step->plan->wordCount) != BM_OK)
      return bm_error_code();
    model->computed += rows;
  }
  model->hasLogits = true;
  return BM_OK;
}

/* Takes the text back to `count` tokens. The last of them is computed again before it is needed. */
static void cutText(Model *model, uint32_t count) {
  model->count = count;
  model->hasLogits = false;
  if (model->computed >= count) model->computed = count > 0 ? count - 1 : 0;
}

bm_status bridgeModelAdd(Model *model, const uint32_t *tokens, uint32_t count) {
  uint32_t before = model->count, limit = model->plan.contextLength;
  if (count > limit - before)
    return bridgeFail(BM_ERROR_RANGE,
                      "\"%u\" tokens cannot be added to a text of \"%u\": the context holds \"%u\", rewind or export "
                      "with a longer one",
                      count, before, limit);
  if (count == 0 && before == 0)
    return bridgeFail(BM_ERROR_ARGUMENT, "An empty prompt cannot be continued: this model has no begin token");
  for (uint32_t i = 0; i < count; i++)
    if (tokens[i] >= model->plan.vocabulary)
      return bridgeFail(BM_ERROR_RANGE, "Token \"%u\" is not in the vocabulary of \"%u\"", tokens[i],
                        model->plan.vocabulary);
  if (count > 0) memcpy(model->tokens + before, tokens, count * sizeof *tokens);
  model->count += count;
  bm_status status = compute(model);
  if (status != BM_OK) {
    cutText(model, before);
    return status;
  }
  bridgeTextStreamReset(&model->text);
  model->endToken = BM_NO_TOKEN;
  return BM_OK;
}

static bm_status endText(Model *model, bm_status status) {
  return bridgeTextStreamEnd(&model->text) ? status : bridgeFail(BM_ERROR_MEMORY, "There is no memory left for text");
}

bm_status bridgeModelNext(Model *model, uint32_t *token) {
  *token = model->endToken;
  if (model->endToken != BM_NO_TOKEN) return BM_MODEL_END;
  if (model->count == 0)
    return bridgeFail(BM_ERROR_ARGUMENT, "There is nothing to continue: give the model a prompt first");
  if (model->count == model->plan.contextLength) return endText(model, BM_MODEL_FULL);
  uint32_t chosen;
  if ((!model->hasLogits && compute(model) != BM_OK) ||
      bridgeSamplerChoose(&model->sampler, model->logits, model->tokens, model->count, &chosen) != BM_OK)
    return bm_error_code();
  *token = chosen;
  if (model->tokenizer.endsGeneration[chosen]) {
    model->endToken = chosen;
    return endText(model, BM_MODEL_END);
  }
  // Computed with what comes next: perhaps nothing does.
  model->tokens[model->count++] = chosen;
  model->hasLogits = false;
  uint32_t length;
  const uint8_t *piece = tokenizerPiece(&model->tokenizer, chosen, &length);
  if (!bridgeTextStreamAdd(&model->text, piece, length))
    return bridgeFail(BM_ERROR_MEMORY, "There is no memory left for text");
  return BM_OK;
}

bm_status bridgeModelRewind(Model *model, uint32_t position) {
  if (position > model->count)
    return bridgeFail(BM_ERROR_RANGE, "A text of \"%u\" tokens cannot be rewound to \"%u\"", model->count, position);
  // Where nothing is forgotten, the last token's logits are still those of the text.
  if (position < model->count) cutText(model, position);
  bridgeTextStreamReset(&model->text);
  model->endToken = BM_NO_TOKEN;
  return BM_OK;
}
