/*
 * graph_steps.h: one graph: the steps that a range of commands is done in, and nodes and edges for them.
 *
 * A step is a dispatch, or several that a stand-in does (native/native.h), which behave as one in their place: a step that
 * reaches across a barrier comes behind all before it, and before all behind it.
 */
#ifndef BUN_METAL_CUDA_GRAPH_STEPS_H
#define BUN_METAL_CUDA_GRAPH_STEPS_H

#include "arguments.h"
#include "graph.h"
#include "native/native.h"
#include "ranges.h"

/** What is kept of a command. */
typedef struct CudaGraphCommand {
  uint64_t revision; /* that its step was made of */
  uint8_t shape;     /* cudaGraphShape */
} CudaGraphCommand;

typedef struct CudaGraphStep {
  CudaGraphNode node;
  uint32_t first, count;         /* dispatches, as places of CudaGraph.dispatches */
  bool isNative;                 /* a stand-in's launch */
  bool overlaps;                 /* it may begin before the one in front of it has ended, and says when the next may */
  bool closes;                   /* it waits for all steps before it */
  uint64_t scratchAt, partialAt; /* in the graph's memory for them */
  uint64_t scratchBytes, partialBytes;
} CudaGraphStep;

typedef struct CudaGraph {
  struct CudaGraph *next; /* of the same list; the one that ran last comes first */
  uint32_t first, count;
  uint64_t revision; /* of the list, when all nodes were up to date */
  CudaArguments arguments;
  CudaGraphTemplate template;
  CudaGraphInstance instance;
  uint32_t overlapCount; /* edges over which a step may begin early */
  uint32_t *dispatches; /* those of the commands that are dispatches, in order */
  uint32_t dispatchCount;
  CudaGraphStep *steps;
  CudaNativeLaunch *launches; /* of steps that are native, as their nodes have them */
  uint32_t stepCount;
  CudaNativeCommand *offered;                   /* a dispatch each, as plans see it; `function` is NULL where they do not */
  unsigned char (*constants)[CudaConstantBytes]; /* that they refer to */
  bool isOffered;                               /* whether there are plans at all */
  CudaWrites writes;                            /* of all its commands */
  uint32_t *changing; /* of each command, bit i: what is bound to buffer i was found to be no constant */
  CudaAddress scratch;                          /* zero between launches; and behind it, memory for partial sums */
  uint64_t scratchBytes, partialBytes;
  CudaGraphCommand commands[];
} CudaGraph;

/** What a command is in the order of commands: two graphs of a range differ if these do. */
uint8_t cudaGraphShape(const DriverCommand *command);

/** A graph of commands of a list. `known` is NULL, or one of the same range, whose findings it takes over. What it needs
 * zeroed is zeroed on the stream. */
CudaGraphOutcome cudaGraphNew(CudaDevice *device, CudaStream stream, const DriverCommandList *list, uint32_t first,
                              uint32_t count, const CudaGraph *known, CudaGraph **out, char **message);
void cudaGraphFree(CudaGraph *graph);

/** Changes the nodes of commands that have changed. Declined where a new graph is needed. */
CudaGraphOutcome cudaGraphUpdate(CudaDevice *device, CudaGraph *graph, const DriverCommandList *list, char **message);

#endif
