/* graph_edges.c: see graph_edges.h. */
#include "graph_edges.h"
#include "native/copy_plan.h"
#include "native/library.h"

#include <stdlib.h>
#include <string.h>

enum { JoinedEdges = 32 /* between two layers, at most; more go through a node that does nothing */ };

static bool failed(CudaGraphEdges *edges, CudaResult result, const char *what) {
  if (result != CudaSuccess) *edges->message = cudaFailure(edges->device, result, "Cannot add %s to a graph", what);
  return result != CudaSuccess;
}

/* One kernel for all copies: it takes microseconds less than nodes of the driver's own. */
static bool addCopyKernel(CudaGraphEdges *edges) {
  _Static_assert((int)CopyMostRanges == (int)CudaMostMirrors, "it copies them all");
  const CudaArguments *arguments = &edges->graph->arguments;
  CopyRange ranges[CudaMostMirrors];
  for (uint32_t i = 0; i < arguments->mirrorCount; i++) {
    const CudaMirror *mirror = &arguments->mirrors[i];
    ranges[i] = (CopyRange){.from = mirror->from, .to = mirror->copy, .bytes = (uint32_t)mirror->length};
  }
  CudaNativeLaunch launch;
  CudaKernelNode kernel;
  void *parameter;
  cudaCopyPlan(ranges, arguments->mirrorCount, &launch);
  if (!cudaNativeKernel(edges->device, &launch, &kernel, &parameter, edges->message)) return false;
  const CudaResult result =
      cudaApi()->GraphAddKernelNode(&edges->here[edges->hereCount], edges->graph->template, NULL, 0, &kernel);
  if (failed(edges, result, "a kernel that copies")) return false;
  edges->hereCount++;
  return true;
}

/* Copies of what kernels read. */
static bool addMirrors(CudaGraphEdges *edges) {
  const CudaArguments *arguments = &edges->graph->arguments;
  if (arguments->mirrorCount > 0 && edges->graph->isOffered && cudaNativeHas(edges->device, "copy_words"))
    return addCopyKernel(edges);
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
    const CudaResult result = cudaApi()->GraphAddMemcpyNode(&edges->here[edges->hereCount], edges->graph->template, NULL, 0,
                                                            &copy, edges->device->context);
    if (failed(edges, result, "a copy")) return false;
    edges->hereCount++;
  }
  return true;
}

/* Steps from `step` to the next that closes. */
static size_t layerSize(const CudaGraph *graph, uint32_t step) {
  size_t size = 1;
  for (uint32_t i = step + 1; i < graph->stepCount && !graph->steps[i].closes; i++) size++;
  return size;
}

/* What comes now waits for what is here. `following` nodes will. */
static bool closeLayer(CudaGraphEdges *edges, size_t following) {
  if (edges->hereCount == 0) return true;
  CudaGraphNode *before = edges->before;
  edges->before = edges->here;
  edges->beforeCount = edges->hereCount;
  edges->beforeOverlaps = edges->hereOverlaps && edges->hereCount == 1 && following == 1;
  edges->here = before;
  edges->hereCount = 0;
  edges->hereOverlaps = false;
  if (edges->beforeCount == 1 || edges->beforeCount * following <= JoinedEdges) return true;
  CudaGraphNode join;
  const CudaResult result =
      cudaApi()->GraphAddEmptyNode(&join, edges->graph->template, edges->before, edges->beforeCount);
  edges->before[0] = join;
  edges->beforeCount = 1;
  return !failed(edges, result, "a node for a barrier");
}

bool cudaGraphEdgesBegin(CudaGraphEdges *edges, CudaDevice *device, CudaGraph *graph, char **message) {
  const size_t most = (size_t)graph->stepCount + CudaMostMirrors;
  *edges = (CudaGraphEdges){.device = device, .graph = graph, .message = message};
  edges->before = calloc(most, sizeof *edges->before);
  edges->here = calloc(most, sizeof *edges->here);
  const bool hasMemory = edges->before && edges->here;
  if (!hasMemory) *message = strdup("Out of memory");
  if (hasMemory && addMirrors(edges) && closeLayer(edges, graph->stepCount > 0 ? layerSize(graph, 0) : 0)) return true;
  cudaGraphEdgesEnd(edges);
  return false;
}

void cudaGraphEdgesEnd(CudaGraphEdges *edges) {
  free(edges->before);
  free(edges->here);
}

/* An edge over which the kernel may begin early: it waits itself. Only between two that are each alone in their layers. All of
 * an earlier kernel is done when the wait is, and that has waited for the one before it: so whatever depends on this one may
 * count on all that came before, as behind other edges. */
static CudaResult addOverlapping(CudaGraphEdges *edges, CudaGraphNode *node, const CudaKernelNode *kernel) {
  const CudaEdge edge = {.fromPort = CudaPortProgrammatic, .type = CudaEdgeProgrammatic};
  CudaResult result = cudaApi()->GraphAddKernelNode(node, edges->graph->template, NULL, 0, kernel);
  if (result != CudaSuccess) return result;
  result = cudaApi()->GraphAddDependencies(edges->graph->template, edges->before, node, &edge, 1);
  if (!cudaRefusesOverlaps(edges->device, result)) {
    edges->graph->overlapCount++;
    return result;
  }
  return cudaApi()->GraphAddDependencies(edges->graph->template, edges->before, node, NULL, 1);
}

static bool mayOverlap(const CudaGraphEdges *edges, const CudaGraphStep *step) {
  return step->overlaps && edges->beforeOverlaps && edges->beforeCount == 1 && cudaNativeUse() == CudaNativeOn &&
         cudaApi()->GraphAddDependencies && edges->device->capability >= 90 && !atomic_load(&edges->device->refusesOverlaps);
}

bool cudaGraphEdgesAdd(CudaGraphEdges *edges, uint32_t index, const CudaKernelNode *kernel, const char *name) {
  CudaGraphStep *step = &edges->graph->steps[index];
  if (step->closes && !closeLayer(edges, layerSize(edges->graph, index))) return false;
  const CudaResult result = mayOverlap(edges, step)
                                ? addOverlapping(edges, &step->node, kernel)
                                : cudaApi()->GraphAddKernelNode(&step->node, edges->graph->template, edges->before,
                                                                edges->beforeCount, kernel);
  if (failed(edges, result, name)) return false;
  edges->here[edges->hereCount++] = step->node;
  edges->hereOverlaps = step->overlaps;
  return true;
}
