/* graph.c: see graph.h. */
#include "graph.h"
#include "arguments.h"
#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

enum {
  MostGraphs = 4, /* of one range of a list: commands that come and go have their graphs waiting */
  JoinedEdges = 32 /* between two layers, at most; more go through a node that does nothing */
};

/* What a command is in the order of commands. */
enum { ShapeNone, ShapeDispatch, ShapeWaitingDispatch };

typedef struct Node {
  CudaGraphNode node;
  uint64_t revision; /* of the command that it was made of */
  uint32_t changing; /* bit i: what is bound to buffer i was found to be no constant */
  uint8_t shape;
} Node;

typedef struct Graph {
  struct Graph *next; /* of the same list; the one that ran last comes first */
  uint32_t first, count;
  uint64_t revision; /* of the list, when all nodes were up to date */
  CudaArguments arguments;
  CudaGraphTemplate template;
  CudaGraphInstance instance;
  Node nodes[];
} Graph;

/** What a list's implementation points to. */
typedef struct Graphs {
  Graph *graphs;
} Graphs;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all graphs */

static uint8_t shapeOf(const DriverCommand *command) {
  if (command->kind != DriverCommandDispatch || cudaDispatchIsEmpty(command)) return ShapeNone;
  return command->waits ? ShapeWaitingDispatch : ShapeDispatch;
}

static void freeGraph(Graph *graph) {
  const CudaApi *api = cudaApi();
  if (graph->instance) api->GraphExecDestroy(graph->instance);
  if (graph->template) api->GraphDestroy(graph->template);
  cudaArgumentsFree(&graph->arguments);
  free(graph);
}

/* ---- nodes --------------------------------------------------------------------------------------------------------- */

/* Reads a command into a dispatch with all its arguments. */
static CudaGraphOutcome readCommand(CudaDevice *device, Graph *graph, const DriverCommand *command, uint32_t index,
                                    CudaDispatch *dispatch, char **message) {
  if (!cudaDispatchRead(device, command, dispatch, message)) return CudaGraphFailed;
  if (cudaDispatchPieces(device, dispatch) != 1) return CudaGraphDeclined;
  return cudaArgumentsPlace(&graph->arguments, command, index, graph->nodes[index].changing, dispatch) ? CudaGraphStarted
                                                                                                        : CudaGraphDeclined;
}

/* The nodes behind the last barrier, those before it, and their graph. */
typedef struct Layers {
  CudaDevice *device;
  Graph *graph;
  CudaGraphNode *before, *here;
  size_t beforeCount, hereCount;
  char **message;
} Layers;

static bool failed(Layers *layers, CudaResult result, const char *what) {
  if (result != CudaSuccess) *layers->message = cudaFailure(layers->device, result, "Cannot add %s to a graph", what);
  return result != CudaSuccess;
}

/* What comes now waits for what is here. `following` nodes will. */
static bool closeLayer(Layers *layers, size_t following) {
  if (layers->hereCount == 0) return true;
  CudaGraphNode *before = layers->before;
  layers->before = layers->here;
  layers->beforeCount = layers->hereCount;
  layers->here = before;
  layers->hereCount = 0;
  if (layers->beforeCount == 1 || layers->beforeCount * following <= JoinedEdges) return true;
  CudaGraphNode join;
  const CudaResult result =
      cudaApi()->GraphAddEmptyNode(&join, layers->graph->template, layers->before, layers->beforeCount);
  layers->before[0] = join;
  layers->beforeCount = 1;
  return !failed(layers, result, "a node for a barrier");
}

/* The first nodes: copies of what kernels read. */
static bool addMirrors(Layers *layers) {
  const CudaArguments *arguments = &layers->graph->arguments;
  for (uint32_t i = 0; i < arguments->mirrorCount; i++) {
    const CudaMirror *mirror = &arguments->mirrors[i];
    const CudaCopy3D copy = {.sourceType = CudaMemoryUnified,
                             .sourceDevice = mirror->from,
                             .sourcePitch = mirror->length,
                             .destinationType = CudaMemoryUnified,
                             .destinationDevice = mirror->copy,
                             .destinationPitch = mirror->length,
                             .width = mirror->length,
                             .height = 1,
                             .depth = 1};
    const CudaResult result = cudaApi()->GraphAddMemcpyNode(&layers->here[layers->hereCount], layers->graph->template,
                                                            NULL, 0, &copy, layers->device->context);
    if (failed(layers, result, "a copy")) return false;
    layers->hereCount++;
  }
  return true;
}

static CudaGraphOutcome addKernel(Layers *layers, const DriverCommand *command, uint32_t index) {
  CudaDispatch dispatch;
  const CudaGraphOutcome outcome =
      readCommand(layers->device, layers->graph, command, index, &dispatch, layers->message);
  if (outcome != CudaGraphStarted) return outcome;
  CudaKernelNode kernel;
  void *parameter;
  cudaDispatchPiece(layers->device, &dispatch, 0, &kernel, &parameter);
  Node *node = &layers->graph->nodes[index];
  const CudaResult result = cudaApi()->GraphAddKernelNode(&node->node, layers->graph->template, layers->before,
                                                          layers->beforeCount, &kernel);
  if (failed(layers, result, command->dispatch.function->name)) return CudaGraphFailed;
  node->revision = command->revision;
  layers->here[layers->hereCount++] = node->node;
  return CudaGraphStarted;
}

/* Dispatches from `index` to the next barrier behind it. */
static size_t layerSize(const Graph *graph, uint32_t index) {
  size_t size = 0;
  for (uint32_t i = index; i < graph->count; i++) {
    if (i > index && graph->nodes[i].shape == ShapeWaitingDispatch) break;
    size += graph->nodes[i].shape != ShapeNone;
  }
  return size;
}

static CudaGraphOutcome addNodes(Layers *layers, const DriverCommand *commands) {
  Graph *graph = layers->graph;
  if (!addMirrors(layers) || !closeLayer(layers, layerSize(graph, 0))) return CudaGraphFailed;
  for (uint32_t i = 0; i < graph->count; i++) {
    if (graph->nodes[i].shape == ShapeNone) {
      graph->nodes[i].revision = commands[i].revision;
      continue;
    }
    if (graph->nodes[i].shape == ShapeWaitingDispatch && !closeLayer(layers, layerSize(graph, i))) return CudaGraphFailed;
    const CudaGraphOutcome outcome = addKernel(layers, &commands[i], i);
    if (outcome != CudaGraphStarted) return outcome;
  }
  return CudaGraphStarted;
}

static CudaGraphOutcome fill(CudaDevice *device, Graph *graph, const DriverCommand *commands, uint32_t *changing,
                             char **message) {
  for (uint32_t i = 0; i < graph->count; i++) changing[i] = graph->nodes[i].changing;
  if (!cudaArgumentsPlan(device, &graph->arguments, commands, graph->count, changing, message)) return CudaGraphFailed;
  CudaResult result = cudaApi()->GraphCreate(&graph->template, 0);
  if (result != CudaSuccess) {
    *message = cudaFailure(device, result, "Cannot make a graph");
    return CudaGraphFailed;
  }
  const size_t most = (size_t)graph->count + CudaMostMirrors;
  Layers layers = {.device = device, .graph = graph, .message = message};
  layers.before = calloc(most, sizeof *layers.before);
  layers.here = calloc(most, sizeof *layers.here);
  CudaGraphOutcome outcome = CudaGraphFailed;
  if (layers.before && layers.here) outcome = addNodes(&layers, commands);
  else *message = strdup("Out of memory");
  free(layers.before);
  free(layers.here);
  if (outcome != CudaGraphStarted) return outcome;
  result = cudaApi()->GraphInstantiate(&graph->instance, graph->template, 0);
  if (result == CudaSuccess) return CudaGraphStarted;
  *message = cudaFailure(device, result, "Cannot instantiate a graph of %u commands", graph->count);
  return CudaGraphFailed;
}

/* A graph of commands of a list. `known` is NULL, or one of the same range, whose findings it takes over. */
static CudaGraphOutcome newGraph(CudaDevice *device, const DriverCommandList *list, uint32_t first, uint32_t count,
                                 const Graph *known, Graph **out, char **message) {
  const DriverCommand *commands = list->commands + first;
  Graph *graph = calloc(1, sizeof *graph + count * sizeof *graph->nodes);
  uint32_t *changing = calloc(count + 1, sizeof *changing);
  CudaGraphOutcome outcome = CudaGraphFailed;
  if (graph && changing) {
    graph->first = first;
    graph->count = count;
    graph->revision = list->revision;
    for (uint32_t i = 0; i < count; i++) {
      graph->nodes[i].shape = shapeOf(&commands[i]);
      if (known) graph->nodes[i].changing = known->nodes[i].changing;
    }
    outcome = fill(device, graph, commands, changing, message);
  } else {
    *message = strdup("Out of memory");
  }
  free(changing);
  if (outcome == CudaGraphStarted) *out = graph;
  else if (graph) freeGraph(graph);
  return outcome;
}

/* ---- keeping up ---------------------------------------------------------------------------------------------------- */

static bool isOf(const Graph *graph, uint32_t first, uint32_t count) {
  return graph->first == first && graph->count == count;
}

static bool hasShape(const Graph *graph, const DriverCommand *commands) {
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i].shape != shapeOf(&commands[i])) return false;
  return true;
}

/* Changes the nodes of commands that have changed. Declined where a new graph is needed. */
static CudaGraphOutcome update(CudaDevice *device, Graph *graph, const DriverCommandList *list, char **message) {
  const DriverCommand *commands = list->commands + graph->first;
  for (uint32_t i = 0; i < graph->count; i++) {
    Node *node = &graph->nodes[i];
    if (node->revision == commands[i].revision) continue;
    if (node->shape != ShapeNone) {
      CudaDispatch dispatch;
      cudaDispatchNoteWrites(&commands[i]);
      const CudaGraphOutcome outcome = readCommand(device, graph, &commands[i], i, &dispatch, message);
      if (outcome != CudaGraphStarted) return outcome;
      CudaKernelNode kernel;
      void *parameter;
      cudaDispatchPiece(device, &dispatch, 0, &kernel, &parameter);
      const CudaResult result = cudaApi()->GraphExecKernelNodeSetParams(graph->instance, node->node, &kernel);
      /* A driver may refuse to exchange a kernel for one of another kind. */
      if (result == CudaErrorInvalidValue) return CudaGraphDeclined;
      if (result != CudaSuccess) {
        *message = cudaDispatchFailure(device, result, &commands[i], "Cannot change");
        return CudaGraphFailed;
      }
    }
    node->revision = commands[i].revision;
  }
  graph->revision = list->revision;
  return CudaGraphStarted;
}

/* Whether the graph is what the list says now, with the constants that are in memory now. */
static CudaGraphOutcome bringUpToDate(CudaDevice *device, Graph *graph, const DriverCommandList *list, char **message) {
  CudaGraphOutcome outcome = graph->revision == list->revision ? CudaGraphStarted : update(device, graph, list, message);
  if (outcome != CudaGraphStarted || graph->arguments.inlinedCount == 0) return outcome;
  uint32_t *changing = calloc(graph->count, sizeof *changing);
  if (!changing) {
    *message = strdup("Out of memory");
    return CudaGraphFailed;
  }
  if (!cudaArgumentsAreCurrent(&graph->arguments, changing)) outcome = CudaGraphDeclined;
  for (uint32_t i = 0; i < graph->count; i++) graph->nodes[i].changing |= changing[i];
  free(changing);
  return outcome;
}

/* The graph of a range that has the shape of its commands, taken out of the list's; NULL if there is none. *known is one of
 * the range, if there is any. */
static Graph *take(Graphs *graphs, const DriverCommandList *list, uint32_t first, uint32_t count, const Graph **known) {
  *known = NULL;
  for (Graph **at = &graphs->graphs; *at; at = &(*at)->next) {
    Graph *graph = *at;
    if (!isOf(graph, first, count)) continue;
    if (!*known) *known = graph;
    if (graph->revision != list->revision && !hasShape(graph, list->commands + first)) continue;
    *at = graph->next;
    return graph;
  }
  return NULL;
}

/* Of the graphs of a range, drops those that have not run for longest. */
static void dropOld(Graphs *graphs, uint32_t first, uint32_t count) {
  uint32_t found = 0;
  for (Graph **at = &graphs->graphs; *at;) {
    Graph *graph = *at;
    if (isOf(graph, first, count) && ++found > MostGraphs) {
      *at = graph->next;
      freeGraph(graph);
    } else {
      at = &graph->next;
    }
  }
}

/* The graph for the commands as they are, in the first place of the list's. */
static CudaGraphOutcome current(CudaDevice *device, Graphs *graphs, const DriverCommandList *list, uint32_t first,
                                uint32_t count, char **message) {
  const Graph *known;
  Graph *graph = take(graphs, list, first, count, &known);
  CudaGraphOutcome outcome = graph ? bringUpToDate(device, graph, list, message) : CudaGraphDeclined;
  if (outcome == CudaGraphDeclined) {
    Graph *stale = graph;
    outcome = newGraph(device, list, first, count, stale ? stale : known, &graph, message);
    if (stale) freeGraph(stale);
  } else if (outcome == CudaGraphFailed) {
    freeGraph(graph);
  }
  if (outcome != CudaGraphStarted) return outcome;
  graph->next = graphs->graphs;
  graphs->graphs = graph;
  dropOld(graphs, first, count);
  return CudaGraphStarted;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

CudaGraphOutcome cudaGraphRun(CudaDevice *device, CudaStream stream, DriverCommandList *list, uint32_t first, uint32_t count,
                              char **message) {
  CudaGraphOutcome outcome = CudaGraphFailed;
  pthread_mutex_lock(&lock);
  if (!list->implementation) list->implementation = calloc(1, sizeof(Graphs));
  Graphs *graphs = list->implementation;
  if (graphs) outcome = current(device, graphs, list, first, count, message);
  else *message = strdup("Out of memory");
  if (outcome == CudaGraphStarted) {
    const CudaResult result = cudaApi()->GraphLaunch(graphs->graphs->instance, stream);
    if (result != CudaSuccess) {
      *message = cudaFailure(device, result, "Cannot start a graph of %u commands", count);
      outcome = CudaGraphFailed;
    }
  }
  pthread_mutex_unlock(&lock);
  return outcome;
}

void cudaGraphFreeList(DriverCommandList *list) {
  Graphs *graphs = list->implementation;
  CudaDevice *device = cudaDevice(list->device);
  list->implementation = NULL;
  /* A device that is lost takes these calls, too, and refuses them. */
  const bool isEntered = cudaApi()->CtxPushCurrent(device->context) == CudaSuccess;
  pthread_mutex_lock(&lock);
  while (graphs->graphs) {
    Graph *graph = graphs->graphs;
    graphs->graphs = graph->next;
    freeGraph(graph);
  }
  pthread_mutex_unlock(&lock);
  free(graphs);
  if (isEntered) cudaLeave();
}
