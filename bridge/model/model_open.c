#include "error.h"
#include "model.h"
#include "number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is needed while a model is opened, and released then: programs keep what they use. */
typedef struct Opening {
  Model *model;
  char *modelPath;
  bm_handle device, library;
  double numbers[BM_DEVICE_NUMBER_COUNT]; /* of the device */
  bm_handle *pipelines, *buffers;         /* as the plan numbers them; 0 for those that there are not yet */
} Opening;

static bm_status failMemory(void) {
  return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to open a model");
}

/* Puts what was being done before the message of a failure. */
static bm_status because(const char *what, const char *name) {
  char cause[1024];
  bm_error_message(cause, sizeof cause);
  return bridgeFail(bm_error_code(), "%s \"%s\": %s", what, name, cause);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* "directory/name", to be freed; `directoryLength` bytes of the directory. NULL with the error set. */
static char *joinPath(const char *directory, size_t directoryLength, const char *name) {
  size_t length = directoryLength + strlen(name) + 2;
  char *path = malloc(length);
  if (path)
    snprintf(path, length, "%.*s/%s", (int)directoryLength, directory, name);
  else
    failMemory();
  return path;
}

static bm_status readFiles(Opening *opening, const char *directory, const char *planName) {
  if (strlen(directory) > 1 << 16) return bridgeFail(BM_ERROR_ARGUMENT, "The bundle's path is too long");
  if (!bridgePlanNameIsInside(planName))
    return bridgeFail(BM_ERROR_ARGUMENT, "The plan \"%s\" leads out of its directory \"%s\"", planName, directory);
  char *planPath = joinPath(directory, strlen(directory), planName);
  if (!planPath) return bm_error_code();
  PlanFile *plan = &opening->model->plan;
  bm_status status = bridgePlanFileRead(planPath, plan);
  if (status == BM_OK) {
    // The weights are named from where the plan lies.
    opening->modelPath = joinPath(planPath, (size_t)(strrchr(planPath, '/') - planPath), plan->modelName);
    status = opening->modelPath ? bridgePlanFileCheckModel(plan, opening->modelPath) : bm_error_code();
    if (status != BM_OK && opening->modelPath) because("Cannot use", opening->modelPath);
  } else {
    because("Cannot open", planPath);
  }
  free(planPath);
  return status;
}

/* ---- the device -------------------------------------------------------------------------------------------------- */

static bm_status openDevice(Opening *opening, uint32_t index, uint32_t disabled) {
  const PlanFile *plan = &opening->model->plan;
  if (!(opening->device = bm_device_open(index, disabled)) ||
      bm_device_numbers(opening->device, opening->numbers, BM_DEVICE_NUMBER_COUNT) != BM_OK)
    return bm_error_code();
  if ((plan->needs & PLAN_NEEDS_SIMDGROUP_MATRIX) && opening->numbers[BM_DEVICE_SIMDGROUP_MATRIX] == 0)
    return bridgeFail(BM_ERROR_UNSUPPORTED, "The plan needs simdgroup_matrix, which this device does not have");
  if (!(opening->library = bm_library_shaders(opening->device)) ||
      !(opening->model->queue = bm_queue_new(opening->device, NULL)))
    return bm_error_code();
  return BM_OK;
}

/* Makes the pipelines, and holds what the device allows against what the plan was compiled for. */
static bm_status makePipelines(Opening *opening) {
  const PlanFile *plan = &opening->model->plan;
  for (uint32_t i = 0; i < plan->kernelCount; i++) {
    const PlanKernel *kernel = &plan->kernels[i];
    double numbers[BM_PIPELINE_NUMBER_COUNT];
    bm_handle pipeline = opening->pipelines[i] = bm_pipeline_new(opening->library, kernel->name);
    if (!pipeline || bm_pipeline_numbers(pipeline, numbers, BM_PIPELINE_NUMBER_COUNT) != BM_OK)
      return because("The plan's kernel cannot be used", kernel->name);
    if (numbers[BM_PIPELINE_MAX_THREADS] < kernel->threads || numbers[BM_PIPELINE_EXECUTION_WIDTH] != plan->simdWidth)
      return bridgeFail(
          BM_ERROR_UNSUPPORTED,
          "The plan's kernel \"%s\" cannot be used: this device gives it \"%g\" threads in SIMD groups of "
          "\"%g\", the plan needs \"%u\" in groups of \"%u\"",
          kernel->name, numbers[BM_PIPELINE_MAX_THREADS], numbers[BM_PIPELINE_EXECUTION_WIDTH], kernel->threads,
          plan->simdWidth);
  }
  return BM_OK;
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

/* Part of the model file: mapped where the device uses memory of the CPU's, else a copy of its own. */
static bm_handle newWeights(const Opening *opening, const PlanBuffer *buffer) {
  uint64_t page = (uint64_t)opening->numbers[BM_DEVICE_PAGE_SIZE];
  double length = (double)buffer->length;
  if (buffer->offset % page != 0) {
    bridgeFail(BM_ERROR_UNSUPPORTED,
               "The plan maps weights at byte " QUOTED_U64 ", and pages have " QUOTED_U64
               " bytes here: export it with this page size",
               buffer->offset, page);
    return 0;
  }
  bm_handle mapped = bm_buffer_map(opening->device, opening->modelPath, (double)buffer->offset, length);
  if (!mapped || opening->numbers[BM_DEVICE_WEIGHT_STORAGE] != BM_STORAGE_PRIVATE) return mapped;
  bm_handle own = bm_buffer_new(opening->device, length, BM_STORAGE_PRIVATE);
  if (own && bm_buffer_copy(opening->model->queue, mapped, 0, own, 0, length) != BM_OK) {
    bm_release(own);
    own = 0;
  }
  bm_release(mapped);
  return own;
}

static bm_handle newData(const Opening *opening, const PlanBuffer *buffer) {
  bm_handle handle = bm_buffer_new(opening->device, (double)buffer->length, BM_STORAGE_SHARED);
  void *contents = handle ? bm_buffer_contents(handle) : NULL;
  if (contents) memcpy(contents, opening->model->plan.data + buffer->offset, buffer->length);
  return handle;
}

static bm_status makeBuffers(Opening *opening) {
  Model *model = opening->model;
  for (uint32_t i = 0; i < model->plan.bufferCount; i++) {
    const PlanBuffer *buffer = &model->plan.buffers[i];
    bm_handle *handle = &opening->buffers[i];
    if ((double)buffer->length > opening->numbers[BM_DEVICE_MAX_BUFFER_LENGTH])
      return bridgeFail(BM_ERROR_MEMORY,
                        "The plan has a buffer of " QUOTED_U64
                        " bytes, and the device's largest has \"%.0f\": export it with this as --max-buffer",
                        buffer->length, opening->numbers[BM_DEVICE_MAX_BUFFER_LENGTH]);
    switch (buffer->role) {
      case PLAN_BUFFER_WEIGHTS: *handle = newWeights(opening, buffer); break;
      case PLAN_BUFFER_DATA: *handle = newData(opening, buffer); break;
      case PLAN_BUFFER_LOGITS:
        *handle = model->logitsBuffer = bm_buffer_new(opening->device, (double)buffer->length, BM_STORAGE_SHARED);
        model->logits = *handle ? bm_buffer_contents(*handle) : NULL;
        break;
      default: *handle = bm_buffer_new(opening->device, (double)buffer->length, BM_STORAGE_PRIVATE);
    }
    if (!*handle) return bm_error_code();
  }
  return BM_OK;
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

/* The words of a step, with those set that never change. */
static uint32_t *newWords(const PlanFile *plan, const PlanProgram *program) {
  uint32_t *words = calloc(program->wordCount, sizeof *words);
  if (!words) return NULL;
  for (uint32_t i = 0; i < program->fixedCount; i++) words[program->fixed[2 * i + 1]] = program->fixed[2 * i];
  // One text holds all blocks, in order. It is sequence 0, as calloc says.
  for (uint32_t i = 0; i < plan->blockCount; i++) words[program->blockTable + i] = i;
  return words;
}

static bm_status makeSteps(Opening *opening) {
  Model *model = opening->model;
  const PlanFile *plan = &model->plan;
  model->steps = calloc(plan->programCount, sizeof *model->steps);
  if (!model->steps) return failMemory();
  for (uint32_t i = 0; i < plan->programCount; i++) {
    ModelStep *step = &model->steps[i];
    step->plan = &plan->programs[i];
    if (!(step->words = newWords(plan, step->plan))) return failMemory();
    uint32_t *program = bridgePlanProgramRelocate(step->plan, opening->pipelines, plan->kernelCount, opening->buffers,
                                                  plan->bufferCount);
    if (!program) return bm_error_code();
    // Its own header says how many words a run has: a run with another number of them is refused.
    if (step->plan->programLength > 2 && program[2] != step->plan->wordCount)
      bridgeFail(BM_ERROR_ARGUMENT, "The plan is damaged: a program has \"%u\" dynamic words, its step \"%u\"",
                 program[2], step->plan->wordCount);
    else
      step->program = bm_program_new(opening->device, program, (double)step->plan->programLength * sizeof *program);
    free(program);
    if (!step->program) return bm_error_code();
  }
  return BM_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bm_status build(Opening *opening, const char *directory, const char *planName, uint32_t index,
                       uint32_t disabled) {
  Model *model = opening->model;
  PlanFile *plan = &model->plan;
  if (readFiles(opening, directory, planName) != BM_OK ||
      bridgeTokenizerLoad(&model->tokenizer, plan->tokenizer, plan->vocabulary) != BM_OK)
    return bm_error_code();
  opening->pipelines = calloc(plan->kernelCount, sizeof *opening->pipelines);
  opening->buffers = calloc(plan->bufferCount, sizeof *opening->buffers);
  model->tokens = malloc(plan->contextLength * sizeof *model->tokens);
  if (!opening->pipelines || !opening->buffers || !model->tokens) return failMemory();
  if (!bridgeSamplerMake(&model->sampler, plan->vocabulary) || openDevice(opening, index, disabled) != BM_OK ||
      makePipelines(opening) != BM_OK || makeBuffers(opening) != BM_OK)
    return bm_error_code();
  return makeSteps(opening);
}

static void releaseAll(const bm_handle *handles, uint32_t count, bm_handle kept) {
  for (uint32_t i = 0; handles && i < count; i++)
    if (handles[i] && handles[i] != kept) bm_release(handles[i]);
}

bm_status bridgeModelOpen(Model *model, const char *directory, const char *planName, uint32_t index,
                          uint32_t disabled) {
  *model = (Model){.endToken = BM_NO_TOKEN};
  Opening opening = {.model = model};
  bm_status status = build(&opening, directory, planName, index, disabled);
  releaseAll(opening.pipelines, model->plan.kernelCount, 0);
  releaseAll(opening.buffers, model->plan.bufferCount, model->logitsBuffer);
  releaseAll(&opening.library, 1, 0);
  releaseAll(&opening.device, 1, 0);
  free(opening.pipelines);
  free(opening.buffers);
  free(opening.modelPath);
  if (status != BM_OK) bridgeModelClose(model);
  return status;
}

void bridgeModelClose(Model *model) {
  for (uint32_t i = 0; model->steps && i < model->plan.programCount; i++) {
    releaseAll(&model->steps[i].program, 1, 0);
    free(model->steps[i].words);
  }
  releaseAll(&model->queue, 1, 0);
  releaseAll(&model->logitsBuffer, 1, 0);
  free(model->steps);
  free(model->tokens);
  bridgeTextStreamFree(&model->text);
  bridgeSamplerFree(&model->sampler);
  bridgeTokenizerFree(&model->tokenizer);
  bridgePlanFileFree(&model->plan);
  *model = (Model){0};
}
