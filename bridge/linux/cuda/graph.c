/* graph.c: see graph.h. */
#include "graph.h"
#include "graph_steps.h"

enum { MostGraphs = 4 /* of one range of a list: commands that come and go have their graphs waiting */ };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all graphs */

/* ---- graphs of a list ----------------------------------------------------------------------------------------------- */

static bool isOf(const CudaGraph *graph, uint32_t first, uint32_t count) {
  return graph->first == first && graph->count == count;
}

static bool hasShape(const CudaGraph *graph, const DriverCommand *commands) {
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->commands[i].shape != cudaGraphShape(&commands[i])) return false;
  return true;
}

/* Whether the graph is what the list says now, with the constants that are in memory now. */
static CudaGraphOutcome bringUpToDate(CudaDevice *device, CudaGraph *graph, const DriverCommandList *list, char **message) {
  CudaGraphOutcome outcome = graph->revision == list->revision ? CudaGraphStarted : cudaGraphUpdate(device, graph, list, message);
  if (outcome != CudaGraphStarted || graph->arguments.inlinedCount == 0) return outcome;
  if (cudaArgumentsAreUnchanged(&graph->arguments)) return outcome;
  return cudaArgumentsAreCurrent(&graph->arguments, graph->changing) ? outcome : CudaGraphDeclined;
}

/* The graph of a range that has the shape of its commands, taken out of the list's; NULL if there is none. *known is one of
 * the range, if there is any. */
static CudaGraph *take(CudaGraph **graphs, const DriverCommandList *list, uint32_t first, uint32_t count, const CudaGraph **known) {
  *known = NULL;
  for (CudaGraph **at = graphs; *at; at = &(*at)->next) {
    CudaGraph *graph = *at;
    if (!isOf(graph, first, count)) continue;
    if (!*known) *known = graph;
    if (graph->revision != list->revision && !hasShape(graph, list->commands + first)) continue;
    *at = graph->next;
    return graph;
  }
  return NULL;
}

/* Of the graphs of a range, drops those that have not run for longest. */
static void dropOld(CudaGraph **graphs, uint32_t first, uint32_t count) {
  uint32_t found = 0;
  for (CudaGraph **at = graphs; *at;) {
    CudaGraph *graph = *at;
    if (isOf(graph, first, count) && ++found > MostGraphs) {
      *at = graph->next;
      cudaGraphFree(graph);
    } else {
      at = &graph->next;
    }
  }
}

/* The graph for the commands as they are, in the first place of the list's. */
static CudaGraphOutcome current(CudaDevice *device, CudaStream stream, CudaGraph **graphs, const DriverCommandList *list,
                                uint32_t first, uint32_t count, char **message) {
  const CudaGraph *known;
  CudaGraph *graph = take(graphs, list, first, count, &known);
  CudaGraphOutcome outcome = graph ? bringUpToDate(device, graph, list, message) : CudaGraphDeclined;
  if (outcome == CudaGraphDeclined) {
    CudaGraph *stale = graph;
    outcome = cudaGraphNew(device, stream, list, first, count, stale ? stale : known, &graph, message);
    if (stale) cudaGraphFree(stale);
  } else if (outcome == CudaGraphFailed) {
    cudaGraphFree(graph);
  }
  if (outcome != CudaGraphStarted) return outcome;
  graph->next = *graphs;
  *graphs = graph;
  dropOld(graphs, first, count);
  return CudaGraphStarted;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

CudaGraphOutcome cudaGraphRun(CudaDevice *device, CudaStream stream, DriverCommandList *list, uint32_t first, uint32_t count,
                              char **message) {
  pthread_mutex_lock(&lock);
  CudaGraph *graphs = list->implementation; /* the first */
  CudaGraphOutcome outcome = current(device, stream, &graphs, list, first, count, message);
  list->implementation = graphs;
  if (outcome == CudaGraphStarted) {
    const CudaResult result = cudaApi()->GraphLaunch(graphs->instance, stream);
    if (result != CudaSuccess) {
      *message = cudaFailure(device, result, "Cannot start a graph of %u commands", count);
      outcome = CudaGraphFailed;
    }
  }
  pthread_mutex_unlock(&lock);
  return outcome;
}

void cudaGraphFreeList(DriverCommandList *list) {
  CudaGraph *next = list->implementation;
  list->implementation = NULL;
  const bool isEntered = cudaEnterToFree(cudaDevice(list->device));
  pthread_mutex_lock(&lock);
  while (next) {
    CudaGraph *graph = next;
    next = graph->next;
    cudaGraphFree(graph);
  }
  pthread_mutex_unlock(&lock);
  if (isEntered) cudaLeave();
}
