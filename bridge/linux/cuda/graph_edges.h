/*
 * graph_edges.h: the nodes of a graph's steps, with edges as barriers demand: a step depends on those behind the barrier before
 * it, on all of them, and on nothing else.
 */
#ifndef BUN_METAL_CUDA_GRAPH_EDGES_H
#define BUN_METAL_CUDA_GRAPH_EDGES_H

#include "graph_steps.h"

typedef struct CudaGraphEdges {
  CudaDevice *device;
  CudaGraph *graph;
  CudaGraphNode *before, *here; /* the nodes behind the last barrier, and those in front of it */
  size_t beforeCount, hereCount;
  bool beforeOverlaps, hereOverlaps; /* it is one alone, and lets the next begin */
  char **message;
} CudaGraphEdges;

/** Adds the first nodes: copies of what kernels read. False with a malloc'ed *message; then it has ended, too. */
bool cudaGraphEdgesBegin(CudaGraphEdges *edges, CudaDevice *device, CudaGraph *graph, char **message);
/** Adds the node of the next step. `name` is what messages call it. */
bool cudaGraphEdgesAdd(CudaGraphEdges *edges, uint32_t step, const CudaKernelNode *kernel, const char *name);
void cudaGraphEdgesEnd(CudaGraphEdges *edges);

#endif
