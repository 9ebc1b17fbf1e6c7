/* graphs.c: nodes, edges, and runs of them in an order that only the edges bound. */
#include "internal.h"

enum { MostNodes = 2048 };

struct CUgraphNode_st {
  Object object;
  CudaGraphTemplate graph;
  unsigned index;
  Task task;
  unsigned *before; /* indices */
  size_t beforeCount;
  bool isEarly; /* its one edge lets it begin before what it comes from has ended */
};

struct CUgraph_st {
  Object object;
  CudaGraphNode nodes[MostNodes];
  unsigned count;
};

struct CUgraphExec_st {
  Object object;
  CudaGraphTemplate graph; /* whose edges it has */
  Task tasks[MostNodes];
  unsigned *before[MostNodes];
  size_t beforeCount[MostNodes];
  bool isEarly[MostNodes];
  unsigned order[MostNodes]; /* in which they run */
  unsigned count;
};

static CudaGraphInstance latest;

static CudaResult addNode(CudaGraphNode *out, CudaGraphTemplate graph, const CudaGraphNode *before, size_t count,
                          const Task *task) {
  if (!fakeIs(graph, KindGraph) || graph->count == MostNodes) return fakeMisused("a node for no graph");
  CudaGraphNode node = fakeNew(KindNode, sizeof *node);
  node->graph = graph;
  node->index = graph->count;
  node->task = *task;
  node->before = calloc(count + 1, sizeof *node->before);
  node->beforeCount = count;
  for (size_t i = 0; i < count; i++) {
    if (!fakeIs(before[i], KindNode) || before[i]->graph != graph) return fakeMisused("an edge from no node");
    for (size_t k = 0; k < i; k++)
      if (before[k] == before[i]) return fakeMisused("an edge twice");
    node->before[i] = before[i]->index;
  }
  graph->nodes[graph->count++] = node;
  *out = node;
  return CudaSuccess;
}

EXPORT CudaResult cuGraphCreate(CudaGraphTemplate *graph, unsigned flags) {
  CALL(true);
  NEED(flags == 0, "cuGraphCreate with flags");
  *graph = fakeNew(KindGraph, sizeof **graph);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuGraphDestroy(CudaGraphTemplate graph) {
  CALL(false);
  NEED(fakeIs(graph, KindGraph), "cuGraphDestroy of nonsense");
  for (unsigned i = 0; i < graph->count; i++) {
    free(graph->nodes[i]->task.parameter);
    free(graph->nodes[i]->before);
    fakeFree(graph->nodes[i]);
  }
  fakeFree(graph);
  RETURN(CudaSuccess);
}

static CudaResult kernelTask(Task *task, const CudaKernelNode *kernel) {
  const unsigned grid[3] = {kernel->gridX, kernel->gridY, kernel->gridZ};
  const unsigned block[3] = {kernel->blockX, kernel->blockY, kernel->blockZ};
  return fakeKernelTask(task, kernel->function, grid, block, kernel->sharedBytes, kernel->parameters);
}

EXPORT CudaResult cuGraphAddKernelNode(CudaGraphNode *node, CudaGraphTemplate graph, const CudaGraphNode *before,
                                       size_t count, const CudaKernelNode *kernel) {
  CALL(true);
  Task task;
  const CudaResult checked = kernelTask(&task, kernel);
  RETURN(checked == CudaSuccess ? addNode(node, graph, before, count, &task) : checked);
}

EXPORT CudaResult cuGraphAddMemcpyNode(CudaGraphNode *node, CudaGraphTemplate graph, const CudaGraphNode *before,
                                       size_t count, const CudaCopy3D *copy, CudaContext context) {
  CALL(true);
  NEED(copy->sourceType == CudaMemoryUnified && copy->destinationType == CudaMemoryUnified && copy->height == 1 &&
           copy->depth == 1 && context,
       "a copy node of another kind");
  const CudaResult checked = fakeCheckCopy(copy->destinationDevice, copy->sourceDevice, copy->width);
  const Task task = {
      .action = ActionCopy, .to = copy->destinationDevice, .from = copy->sourceDevice, .length = copy->width};
  RETURN(checked == CudaSuccess ? addNode(node, graph, before, count, &task) : checked);
}

EXPORT CudaResult cuGraphAddEmptyNode(CudaGraphNode *node, CudaGraphTemplate graph, const CudaGraphNode *before,
                                      size_t count) {
  CALL(true);
  const Task task = {.action = ActionNothing};
  RETURN(addNode(node, graph, before, count, &task));
}

/* Between kernels alone, and as the only edge of both: what has several is nowhere said to wait for all of them. */
EXPORT CudaResult cuGraphAddDependencies_v2(CudaGraphTemplate graph, const CudaGraphNode *from, const CudaGraphNode *to,
                                            const CudaEdge *edges, size_t count) {
  CALL(true);
  static const CudaEdge programmatic = {.fromPort = CudaPortProgrammatic, .type = CudaEdgeProgrammatic};
  NEED(fakeIs(graph, KindGraph) && (!edges || memcmp(edges, &programmatic, sizeof programmatic) == 0) && count == 1,
       "cuGraphAddDependencies of nonsense");
  NEED(fakeIs(*from, KindNode) && fakeIs(*to, KindNode) && (*from)->graph == graph && (*to)->graph == graph &&
           (*from)->index < (*to)->index && (*from)->task.action == ActionKernel && (*to)->task.action == ActionKernel &&
           (*to)->beforeCount == 0,
       "a programmatic edge where there can be none");
  for (unsigned i = 0; i < graph->count; i++)
    for (size_t k = 0; k < graph->nodes[i]->beforeCount; k++)
      NEED(graph->nodes[i]->before[k] != (*from)->index, "a programmatic edge beside another one");
  (*to)->before[0] = (*from)->index;
  (*to)->beforeCount = 1;
  (*to)->isEarly = edges != NULL;
  RETURN(CudaSuccess);
}

static void copyTask(Task *to, const Task *from) {
  *to = *from;
  if (!from->parameter) return;
  to->parameter = malloc(from->function->parameterBytes);
  memcpy(to->parameter, from->parameter, from->function->parameterBytes);
}

/* Of the tasks that may run it is always the one that was added last. */
static void findOrder(CudaGraphInstance instance) {
  bool isDone[MostNodes] = {false};
  for (unsigned run = 0; run < instance->count; run++) {
    unsigned next = instance->count;
    for (unsigned i = instance->count; i-- > 0 && next == instance->count;) {
      bool mayRun = !isDone[i];
      for (size_t k = 0; k < instance->beforeCount[i]; k++) mayRun = mayRun && isDone[instance->before[i][k]];
      if (mayRun) next = i;
    }
    isDone[next] = true;
    instance->order[run] = next;
  }
}

/* A line for each node: where it has its kernel from, and the nodes that it waits for, behind ~ where it may begin early. */
static void print(CudaGraphInstance instance) {
  fprintf(stderr, "graph of %u nodes\n", instance->count);
  for (unsigned i = 0; i < instance->count; i++) {
    const Task *task = &instance->tasks[i];
    fprintf(stderr, "  %u: %s", i,
            task->action == ActionKernel ? task->function->name : task->action == ActionCopy ? "a copy" : "nothing");
    if (task->action == ActionKernel)
      fprintf(stderr, " (%u x %u x %u blocks of %u, %u bytes)", task->grid[0], task->grid[1], task->grid[2],
              task->block[0] * task->block[1] * task->block[2], task->shared);
    fprintf(stderr, instance->isEarly[i] ? " ~" : " <-");
    for (size_t k = 0; k < instance->beforeCount[i]; k++) fprintf(stderr, " %u", instance->before[i][k]);
    fprintf(stderr, "\n");
  }
}

EXPORT CudaResult cuGraphInstantiateWithFlags(CudaGraphInstance *out, CudaGraphTemplate graph, unsigned long long flags) {
  CALL(true);
  NEED(fakeIs(graph, KindGraph) && flags == 0, "cuGraphInstantiate of nonsense");
  CudaGraphInstance instance = fakeNew(KindInstance, sizeof *instance);
  instance->graph = graph;
  instance->count = graph->count;
  for (unsigned i = 0; i < graph->count; i++) {
    const CudaGraphNode node = graph->nodes[i];
    copyTask(&instance->tasks[i], &node->task);
    instance->beforeCount[i] = node->beforeCount;
    instance->isEarly[i] = node->isEarly;
    instance->before[i] = malloc((node->beforeCount + 1) * sizeof *node->before);
    memcpy(instance->before[i], node->before, node->beforeCount * sizeof *node->before);
  }
  findOrder(instance);
  *out = latest = instance;
  if (getenv("FAKE_CUDA_GRAPHS")) print(instance);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuGraphExecDestroy(CudaGraphInstance instance) {
  CALL(false);
  NEED(fakeIs(instance, KindInstance), "cuGraphExecDestroy of nonsense");
  for (unsigned i = 0; i < instance->count; i++) {
    free(instance->tasks[i].parameter);
    free(instance->before[i]);
  }
  if (latest == instance) latest = NULL;
  fakeFree(instance);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuGraphExecKernelNodeSetParams(CudaGraphInstance instance, CudaGraphNode node,
                                                 const CudaKernelNode *kernel) {
  CALL(true);
  NEED(fakeIs(instance, KindInstance) && fakeIs(node, KindNode) && node->graph == instance->graph &&
           node->task.action == ActionKernel,
       "cuGraphExecKernelNodeSetParams of nonsense");
  Task task;
  const CudaResult checked = kernelTask(&task, kernel);
  if (checked != CudaSuccess) RETURN(checked);
  free(instance->tasks[node->index].parameter);
  instance->tasks[node->index] = task;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuGraphLaunch(CudaGraphInstance instance, CudaStream stream) {
  CALL(true);
  NEED(fakeIs(instance, KindInstance) && fakeIs(stream, KindStream), "cuGraphLaunch of nonsense");
  for (unsigned run = 0; run < instance->count; run++) {
    Task task;
    copyTask(&task, &instance->tasks[instance->order[run]]);
    fakePut(stream, &task);
  }
  fakeBusy(stream);
  RETURN(CudaSuccess);
}

/* ---- for tests ------------------------------------------------------------------------------------------------------ */

static unsigned kernelAt(unsigned wanted) {
  unsigned i = 0;
  for (unsigned found = 0; latest && i < latest->count; i++)
    if (latest->tasks[i].action == ActionKernel && found++ == wanted) break;
  return i;
}

EXPORT unsigned fakeGraph(const char **names, unsigned capacity) {
  unsigned count = 0;
  for (unsigned i = 0; latest && i < latest->count; i++) {
    if (latest->tasks[i].action != ActionKernel) continue;
    if (count < capacity) names[count] = latest->tasks[i].function->name;
    count++;
  }
  return count;
}

static int reaches(unsigned from, unsigned to) {
  if (from == to) return 1;
  for (size_t k = 0; k < latest->beforeCount[to]; k++)
    if (reaches(from, latest->before[to][k])) return 1;
  return 0;
}

EXPORT int fakeFollows(unsigned a, unsigned b) { return a != b && reaches(kernelAt(a), kernelAt(b)); }

EXPORT int fakeBeginsEarly(unsigned kernel) { return latest->isEarly[kernelAt(kernel)]; }
