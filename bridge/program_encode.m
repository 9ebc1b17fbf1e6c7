#import "program_encode.h"

#import "error.h"
#import "program_indirect.h"

static void endEncoders(Encoding *encoding) {
  id<MTLCommandEncoder> open = encoding->compute ? (id<MTLCommandEncoder>)encoding->compute : encoding->blit;
  encoding->compute = nil;
  encoding->blit = nil;
  encoding->pipeline = nil;
  encoding->memoryMask = 0;
  [open endEncoding];
}

id<MTLComputeCommandEncoder> bridgeComputeEncoder(Encoding *encoding) {
  if (!encoding->compute) {
    endEncoders(encoding);
    bool isConcurrent = bridgeUses(encoding->program->device, BM_FEATURE_CONCURRENT_DISPATCH);
    MTLDispatchType type = isConcurrent ? MTLDispatchTypeConcurrent : MTLDispatchTypeSerial;
    encoding->compute = [encoding->commands computeCommandEncoderWithDispatchType:type];
  }
  return encoding->compute;
}

static id<MTLBlitCommandEncoder> blitEncoder(Encoding *encoding) {
  if (!encoding->blit) {
    endEncoders(encoding);
    encoding->blit = [encoding->commands blitCommandEncoder];
  }
  return encoding->blit;
}

bm_status bridgeReadGrid(const ProgramDispatch *dispatch, const uint32_t *words, MTLSize *grid, bool *isEmpty) {
  uint64_t sizes[3];
  *isEmpty = false;
  for (int i = 0; i < 3; i++) {
    ProgramDimension dimension = dispatch->grid[i];
    sizes[i] = dimension.count;
    if (dimension.word == 0) continue;
    uint64_t items = words[dimension.word - 1];
    if (items == 0) {
      *isEmpty = true;
      return BM_OK;
    }
    sizes[i] = (items + dimension.count - 1) / dimension.count;
    uint64_t threads = dispatch->countsThreads ? sizes[i] : sizes[i] * dispatch->threadsPerThreadgroup[i];
    if (threads > UINT32_MAX)
      return bridgeFail(BM_ERROR_RANGE, "Dynamic word \"%u\" is " QUOTED_U64 ": a grid of " QUOTED_U64
                                        " threads is over 2^32 - 1",
                        dimension.word - 1, items, threads);
  }
  *grid = MTLSizeMake(sizes[0], sizes[1], sizes[2]);
  return BM_OK;
}

static void bindArguments(const ProgramDispatch *dispatch, Encoding *encoding, id<MTLComputeCommandEncoder> encoder) {
  const BunMetalProgram *program = encoding->program;
  for (uint32_t i = 0; i < dispatch->bindingCount; i++) {
    const ProgramBinding *binding = &program->bindings[dispatch->firstBinding + i];
    [encoder setBuffer:binding->buffer ? binding->buffer : encoding->slot->words
                offset:binding->offset
               atIndex:binding->index];
  }
  for (uint32_t i = 0; i < dispatch->constantCount; i++) {
    const ProgramConstant *constant = &program->constants[dispatch->firstConstant + i];
    [encoder setBytes:program->constantBytes + constant->start length:constant->length atIndex:constant->index];
  }
  // Lengths last from dispatch to dispatch and all count against the limit: clear those of kernels before.
  uint32_t stale = encoding->memoryMask & ~dispatch->memoryMask;
  for (uint32_t index = 0; stale >> index; index++)
    if (stale >> index & 1) [encoder setThreadgroupMemoryLength:0 atIndex:index];
  for (uint32_t i = 0; i < dispatch->memoryCount; i++) {
    const ProgramThreadgroupMemory *memory = &program->memories[dispatch->firstMemory + i];
    [encoder setThreadgroupMemoryLength:memory->length atIndex:memory->index];
  }
  encoding->memoryMask = dispatch->memoryMask;
}

static bm_status encodeDispatch(const ProgramDispatch *dispatch, Encoding *encoding) {
  MTLSize grid;
  bool isEmpty;
  bm_status status = bridgeReadGrid(dispatch, encoding->words, &grid, &isEmpty);
  if (status != BM_OK || isEmpty) return status;
  id<MTLComputeCommandEncoder> encoder = bridgeComputeEncoder(encoding);
  if (encoding->pipeline != dispatch->pipeline) {
    [encoder setComputePipelineState:dispatch->pipeline];
    encoding->pipeline = dispatch->pipeline;
  }
  bindArguments(dispatch, encoding, encoder);
  const uint32_t *threads = dispatch->threadsPerThreadgroup;
  MTLSize threadgroup = MTLSizeMake(threads[0], threads[1], threads[2]);
  if (dispatch->countsThreads)
    [encoder dispatchThreads:grid threadsPerThreadgroup:threadgroup];
  else
    [encoder dispatchThreadgroups:grid threadsPerThreadgroup:threadgroup];
  return BM_OK;
}

static void encodeCopy(const ProgramCopy *copy, Encoding *encoding) {
  [blitEncoder(encoding) copyFromBuffer:copy->source
                           sourceOffset:copy->sourceOffset
                               toBuffer:copy->destination
                      destinationOffset:copy->destinationOffset
                                   size:copy->length];
}

static void encodeFill(const ProgramFill *fill, Encoding *encoding) {
  [blitEncoder(encoding) fillBuffer:fill->buffer range:NSMakeRange(fill->offset, fill->length) value:fill->value];
}

static bm_status encodeOperation(const ProgramOperation *operation, Encoding *encoding) {
  switch (operation->opcode) {
    case BM_OP_DISPATCH: return encodeDispatch(&operation->dispatch, encoding);
    case BM_OP_COPY: encodeCopy(&operation->copy, encoding); break;
    case BM_OP_FILL: encodeFill(&operation->fill, encoding); break;
    case BM_OP_BARRIER:
      // A blit encoder has no barrier; the next operation opens another encoder, which is one.
      if (encoding->blit)
        endEncoders(encoding);
      else
        [encoding->compute memoryBarrierWithScope:MTLBarrierScopeBuffers];
      break;
  }
  return BM_OK;
}

/* Goes through the operations; where runs of them are encoded already, a run at a time. */
static bm_status encodeOperations(Encoding *encoding) {
  const BunMetalProgram *program = encoding->program;
  const IndirectPlan *plan = bridgeIndirectIsReady(encoding->slot) ? program->indirect : NULL;
  bm_status status = plan ? bridgeIndirectUpdate(encoding->slot, encoding->words) : BM_OK;
  uint32_t run = 0;
  for (uint32_t i = 0; i < program->operationCount && status == BM_OK;) {
    if (plan && run < plan->runCount && plan->runs[run].firstOperation == i) {
      bridgeIndirectExecute(encoding, &plan->runs[run]);
      i = plan->runs[run++].endOperation;
    } else {
      status = encodeOperation(&program->operations[i++], encoding);
    }
  }
  return status;
}

static bm_status encodeRun(id<MTLCommandBuffer> commands, ProgramSlot *slot) {
  Encoding encoding = {
      .program = slot->program, .slot = slot, .commands = commands, .words = [slot->words contents]};
  @try {
    return encodeOperations(&encoding);
  } @finally {
    endEncoders(&encoding);
  }
}

bm_status bridgeProgramEncode(id<MTLCommandBuffer> commands, void *firstSlot) {
  bm_status status = BM_OK;
  // Each run has encoders of its own: what one has written, the next one sees.
  for (ProgramSlot *slot = firstSlot; slot && status == BM_OK; slot = slot->next) status = encodeRun(commands, slot);
  return status;
}
