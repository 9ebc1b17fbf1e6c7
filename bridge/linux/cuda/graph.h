/*
 * graph.h: a list of commands as a CUDA graph.
 *
 * Its edges are what barriers demand: a command depends on those behind the barrier before it, on all of them, and on nothing
 * else, so that what stands between two barriers runs side by side (graph_edges.h); what a stand-in does for several of them is
 * one node (graph_steps.h). A graph is made when a range of a list runs first, and
 * stays with the list; commands that changed since the last run are changed in it.
 */
#ifndef BUN_METAL_CUDA_GRAPH_H
#define BUN_METAL_CUDA_GRAPH_H

#include "device.h"

typedef enum CudaGraphOutcome {
  CudaGraphFailed, /* with a malloc'ed *message */
  CudaGraphStarted,
  CudaGraphDeclined /* the commands are none that a graph can have: they are for the stream */
} CudaGraphOutcome;

/** Starts `count` commands of a list on a stream. The device is entered. */
CudaGraphOutcome cudaGraphRun(CudaDevice *device, CudaStream stream, DriverCommandList *list, uint32_t first, uint32_t count,
                              char **message);

/** As Driver.freeList. */
void cudaGraphFreeList(DriverCommandList *list);

#endif
