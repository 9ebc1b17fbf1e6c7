/* graph_steps.c: see graph_steps.h. */
#include "graph_steps.h"
#include "dispatch.h"
#include "graph_edges.h"
#include "native/library.h"

#include <stdlib.h>
#include <string.h>

enum {
  MostOffered = 64, /* dispatches at once, to a plan */
  MemoryAlignment = 256
};

enum { ShapeNone, ShapeDispatch, ShapeWaitingDispatch };

uint8_t cudaGraphShape(const DriverCommand *command) {
  if (command->kind != DriverCommandDispatch || cudaDispatchIsEmpty(command)) return ShapeNone;
  return command->waits ? ShapeWaitingDispatch : ShapeDispatch;
}

void cudaGraphFree(CudaGraph *graph) {
  const CudaApi *api = cudaApi();
  if (graph->instance) api->GraphExecDestroy(graph->instance);
  if (graph->template) api->GraphDestroy(graph->template);
  if (graph->scratch) api->MemFree(graph->scratch);
  cudaArgumentsFree(&graph->arguments);
  cudaWritesFree(&graph->writes);
  free(graph->dispatches);
  free(graph->steps);
  free(graph->launches);
  free(graph->offered);
  free(graph->constants);
  free(graph->changing);
  free(graph);
}

/* ---- commands ------------------------------------------------------------------------------------------------------- */

/* Reads a dispatch with all its arguments, and writes down what plans see of it. */
static CudaGraphOutcome readDispatch(CudaDevice *device, CudaGraph *graph, const DriverCommand *commands, uint32_t place,
                                     CudaDispatch *dispatch, char **message) {
  const uint32_t index = graph->dispatches[place];
  const DriverCommand *command = &commands[index];
  if (!cudaDispatchRead(device, command, dispatch, message)) return CudaGraphFailed;
  if (cudaDispatchPieces(device, dispatch) != 1) return CudaGraphDeclined;
  if (!cudaArgumentsPlace(&graph->arguments, command, index, graph->changing[index], dispatch))
    return CudaGraphDeclined;
  if (!graph->isOffered) return CudaGraphStarted;
  if (!cudaNativeDescribe(command, dispatch, graph->constants[place], &graph->offered[place]))
    graph->offered[place].function = NULL;
  graph->offered[place].unwritten = dispatch->mirrored | cudaWritesSpare(&graph->writes, command);
  return CudaGraphStarted;
}

/* What a stand-in would take of the dispatches from `place` on. */
static uint32_t offer(const CudaDevice *device, const CudaGraph *graph, uint32_t place, CudaNativeLaunch *launch) {
  uint32_t count = 0;
  while (graph->isOffered && count < MostOffered && place + count < graph->dispatchCount &&
         graph->offered[place + count].function)
    count++;
  return count > 0 ? cudaNativeOffer(device, &graph->offered[place], count, launch) : 0;
}

/* ---- a new graph ---------------------------------------------------------------------------------------------------- */

/** What a graph is made of, while it is made. */
typedef struct Making {
  CudaDevice *device;
  CudaStream stream;
  CudaGraph *graph;
  const DriverCommand *commands;
  CudaDispatch *dispatches; /* by place */
  char **message;
} Making;

static CudaGraphOutcome readAll(Making *making) {
  CudaGraph *graph = making->graph;
  for (uint32_t place = 0; place < graph->dispatchCount; place++) {
    const CudaGraphOutcome outcome =
        readDispatch(making->device, graph, making->commands, place, &making->dispatches[place], making->message);
    if (outcome != CudaGraphStarted) return outcome;
  }
  return CudaGraphStarted;
}

static uint64_t reserve(uint64_t *total, uint64_t bytes) {
  const uint64_t at = *total;
  *total += (bytes + MemoryAlignment - 1) / MemoryAlignment * MemoryAlignment;
  return at;
}

/* Cuts the dispatches into steps: each one's stand-in takes as many as it can. */
static void cut(Making *making) {
  CudaGraph *graph = making->graph;
  bool mustClose = false;
  for (uint32_t place = 0; place < graph->dispatchCount; graph->stepCount++) {
    CudaGraphStep *step = &graph->steps[graph->stepCount];
    CudaNativeLaunch offered;
    const uint32_t taken = offer(making->device, graph, place, &offered);
    *step = (CudaGraphStep){.first = place, .count = taken ? taken : 1, .isNative = taken > 0};
    if (step->isNative) {
      CudaNativeLaunch *launch = &graph->launches[graph->stepCount];
      *launch = offered;
      cudaNativeBegin(making->device, launch); /* all of a graph's side by side */
      step->overlaps = launch->overlaps;
      step->scratchBytes = launch->scratchBytes;
      step->partialBytes = launch->partialBytes;
      step->scratchAt = reserve(&graph->scratchBytes, launch->scratchBytes);
      step->partialAt = reserve(&graph->partialBytes, launch->partialBytes);
    }
    bool reaches = false; /* across a barrier */
    for (uint32_t i = 1; i < step->count; i++)
      reaches = reaches || graph->commands[graph->dispatches[place + i]].shape == ShapeWaitingDispatch;
    step->closes = mustClose || reaches || graph->commands[graph->dispatches[place]].shape == ShapeWaitingDispatch;
    mustClose = reaches;
    place += step->count;
  }
}

static void placeMemory(const CudaGraph *graph, const CudaGraphStep *step, CudaNativeLaunch *launch) {
  cudaNativePlaceMemory(launch, graph->scratch + step->scratchAt, graph->scratch + graph->scratchBytes + step->partialAt);
}

static bool allocateMemory(Making *making) {
  CudaGraph *graph = making->graph;
  const uint64_t bytes = graph->scratchBytes + graph->partialBytes;
  if (bytes == 0) return true;
  const CudaResult result = cudaApi()->MemAlloc(&graph->scratch, bytes);
  if (result == CudaSuccess) return true;
  graph->scratch = 0;
  *making->message = cudaFailure(making->device, result, "Cannot allocate %llu bytes for what kernels share",
                                 (unsigned long long)bytes);
  return false;
}

/* The last of all: what is on the stream uses memory that stays. */
static bool clearMemory(Making *making) {
  const CudaGraph *graph = making->graph;
  if (graph->scratchBytes == 0) return true;
  const CudaResult result = cudaApi()->MemsetD8Async(graph->scratch, 0, graph->scratchBytes, making->stream);
  if (result != CudaSuccess) *making->message = cudaFailure(making->device, result, "Cannot clear what kernels share");
  return result == CudaSuccess;
}

static bool addSteps(Making *making) {
  CudaGraph *graph = making->graph;
  CudaGraphEdges edges;
  if (!cudaGraphEdgesBegin(&edges, making->device, graph, making->message)) return false;
  bool ok = true;
  for (uint32_t i = 0; ok && i < graph->stepCount; i++) {
    CudaGraphStep *step = &graph->steps[i];
    const DriverCommand *command = &making->commands[graph->dispatches[step->first]];
    CudaKernelNode kernel;
    void *parameter;
    if (step->isNative) {
      placeMemory(graph, step, &graph->launches[i]);
      ok = cudaNativeKernel(making->device, &graph->launches[i], &kernel, &parameter, making->message);
    } else {
      ok = cudaDispatchGetKernel(command, &making->dispatches[step->first], making->message);
      cudaDispatchPiece(making->device, &making->dispatches[step->first], 0, &kernel, &parameter);
    }
    const char *name = step->isNative ? graph->launches[i].kernel : command->dispatch.function->name;
    ok = ok && cudaGraphEdgesAdd(&edges, i, &kernel, name);
  }
  cudaGraphEdgesEnd(&edges);
  return ok;
}

/* Declined where the driver does not take edges over which kernels begin early: the next graph has none. */
static CudaGraphOutcome instantiate(Making *making) {
  CudaGraph *graph = making->graph;
  const CudaResult result = cudaApi()->GraphInstantiate(&graph->instance, graph->template, 0);
  if (result == CudaSuccess) return CudaGraphStarted;
  graph->instance = NULL;
  if (graph->overlapCount > 0 && cudaRefusesOverlaps(making->device, result)) return CudaGraphDeclined;
  *making->message = cudaFailure(making->device, result, "Cannot instantiate a graph of %u commands", graph->count);
  return CudaGraphFailed;
}

static CudaGraphOutcome make(Making *making) {
  CudaGraph *graph = making->graph;
  CudaGraphOutcome outcome = readAll(making);
  if (outcome != CudaGraphStarted) return outcome;
  cut(making);
  if (!allocateMemory(making)) return CudaGraphFailed;
  const CudaResult result = cudaApi()->GraphCreate(&graph->template, 0);
  if (result != CudaSuccess) {
    graph->template = NULL;
    *making->message = cudaFailure(making->device, result, "Cannot make a graph");
    return CudaGraphFailed;
  }
  outcome = addSteps(making) ? instantiate(making) : CudaGraphFailed;
  return outcome == CudaGraphStarted && !clearMemory(making) ? CudaGraphFailed : outcome;
}

/* Plans what is brought along, and gets memory for all that is made. */
static CudaGraphOutcome fill(Making *making) {
  CudaGraph *graph = making->graph;
  if (!cudaWritesCollect(&graph->writes, making->commands, graph->count)) {
    *making->message = strdup("Out of memory");
    return CudaGraphFailed;
  }
  if (!cudaArgumentsPlan(making->device, &graph->arguments, making->commands, graph->count, graph->changing, &graph->writes,
                         making->message))
    return CudaGraphFailed;
  if (!cudaNativeOpen(making->device, &graph->isOffered, making->message)) return CudaGraphFailed;
  const size_t most = (size_t)graph->dispatchCount + 1;
  graph->steps = calloc(most, sizeof *graph->steps);
  graph->launches = calloc(graph->isOffered ? most : 1, sizeof *graph->launches);
  graph->offered = calloc(graph->isOffered ? most : 1, sizeof *graph->offered);
  graph->constants = calloc(graph->isOffered ? most : 1, sizeof *graph->constants);
  making->dispatches = calloc(most, sizeof *making->dispatches);
  CudaGraphOutcome outcome = CudaGraphFailed;
  if (graph->steps && graph->launches && graph->offered && graph->constants && making->dispatches) outcome = make(making);
  else *making->message = strdup("Out of memory");
  free(making->dispatches);
  return outcome;
}

CudaGraphOutcome cudaGraphNew(CudaDevice *device, CudaStream stream, const DriverCommandList *list, uint32_t first,
                              uint32_t count, const CudaGraph *known, CudaGraph **out, char **message) {
  const DriverCommand *commands = list->commands + first;
  CudaGraph *graph = calloc(1, sizeof *graph + count * sizeof *graph->commands);
  if (graph) graph->dispatches = calloc(count + 1, sizeof *graph->dispatches);
  if (graph) graph->changing = calloc(count + 1, sizeof *graph->changing);
  CudaGraphOutcome outcome = CudaGraphFailed;
  if (graph && graph->dispatches && graph->changing) {
    graph->first = first;
    graph->count = count;
    graph->revision = list->revision;
    for (uint32_t i = 0; i < count; i++) {
      graph->commands[i].revision = commands[i].revision;
      graph->commands[i].shape = cudaGraphShape(&commands[i]);
      if (known) graph->changing[i] = known->changing[i];
      if (graph->commands[i].shape != ShapeNone) graph->dispatches[graph->dispatchCount++] = i;
    }
    Making making = {.device = device, .stream = stream, .graph = graph, .commands = commands, .message = message};
    outcome = fill(&making);
  } else {
    *message = strdup("Out of memory");
  }
  if (outcome == CudaGraphStarted) *out = graph;
  else if (graph) cudaGraphFree(graph);
  return outcome;
}

/* ---- keeping up ----------------------------------------------------------------------------------------------------- */

/* Whether a command of the step has changed. Notes that its node is made of what it is now. */
static bool hasChanged(CudaGraph *graph, const CudaGraphStep *step, const DriverCommand *commands) {
  bool changed = false;
  for (uint32_t i = 0; i < step->count; i++) {
    const uint32_t index = graph->dispatches[step->first + i];
    changed = changed || graph->commands[index].revision != commands[index].revision;
    graph->commands[index].revision = commands[index].revision;
  }
  return changed;
}

static CudaGraphOutcome changeNode(CudaDevice *device, CudaGraph *graph, uint32_t index, const DriverCommand *commands,
                                   char **message) {
  const CudaGraphStep *step = &graph->steps[index];
  CudaDispatch dispatch;
  CudaNativeLaunch launch;
  CudaKernelNode kernel;
  void *parameter;
  const uint32_t taken = offer(device, graph, step->first, &launch);
  /* Other commands in one step than before are other edges. */
  if (step->isNative ? taken != step->count : taken > 0) return CudaGraphDeclined;
  if (step->isNative) {
    if (launch.scratchBytes > step->scratchBytes || launch.partialBytes > step->partialBytes ||
        launch.overlaps != step->overlaps)
      return CudaGraphDeclined;
    placeMemory(graph, step, &launch);
    /* What is bound elsewhere for the shader may be all the same for what stands in for it. */
    if (memcmp(&launch, &graph->launches[index], sizeof launch) == 0) return CudaGraphStarted;
    graph->launches[index] = launch;
    if (!cudaNativeKernel(device, &launch, &kernel, &parameter, message)) return CudaGraphFailed;
  } else {
    const CudaGraphOutcome outcome = readDispatch(device, graph, commands, step->first, &dispatch, message);
    if (outcome != CudaGraphStarted) return outcome;
    if (!cudaDispatchGetKernel(&commands[graph->dispatches[step->first]], &dispatch, message)) return CudaGraphFailed;
    cudaDispatchPiece(device, &dispatch, 0, &kernel, &parameter);
  }
  const CudaResult result = cudaApi()->GraphExecKernelNodeSetParams(graph->instance, step->node, &kernel);
  /* A driver may refuse to exchange a kernel for one of another kind. */
  if (result == CudaErrorInvalidValue) return CudaGraphDeclined;
  if (result == CudaSuccess) return CudaGraphStarted;
  *message = cudaDispatchFailure(device, result, &commands[graph->dispatches[step->first]], "Cannot change");
  return CudaGraphFailed;
}

CudaGraphOutcome cudaGraphUpdate(CudaDevice *device, CudaGraph *graph, const DriverCommandList *list, char **message) {
  const DriverCommand *commands = list->commands + graph->first;
  /* First what plans see, since a plan sees more commands than one. */
  for (uint32_t place = 0; place < graph->dispatchCount; place++) {
    const uint32_t index = graph->dispatches[place];
    if (graph->commands[index].revision == commands[index].revision) continue;
    cudaDispatchNoteWrites(&commands[index]);
    /* What stands in for another command may count on it that nobody writes there. */
    if (graph->isOffered && !cudaWritesHave(&graph->writes, &commands[index])) return CudaGraphDeclined;
    CudaDispatch dispatch;
    const CudaGraphOutcome outcome =
        graph->isOffered ? readDispatch(device, graph, commands, place, &dispatch, message) : CudaGraphStarted;
    if (outcome != CudaGraphStarted) return outcome;
  }
  for (uint32_t i = 0; i < graph->stepCount; i++) {
    if (!hasChanged(graph, &graph->steps[i], commands)) continue;
    const CudaGraphOutcome outcome = changeNode(device, graph, i, commands, message);
    if (outcome != CudaGraphStarted) return outcome;
  }
  graph->revision = list->revision;
  return CudaGraphStarted;
}
