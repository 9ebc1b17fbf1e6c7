#ifndef METAL_MTLDEFINES_H
#define METAL_MTLDEFINES_H

#import <Foundation/Foundation.h>

#define MTL_EXTERN extern
#define MTL_INLINE static inline

@protocol MTLBuffer, MTLCommandBuffer, MTLCommandEncoder, MTLComputePipelineState, MTLDevice, MTLFunction, MTLHeap,
    MTLIndirectCommandBuffer, MTLIndirectComputeCommand, MTLLibrary, MTLResidencySet, MTLResource;

#endif
