/*
 * Metal for Linux: compute, with Apple's names, values and ownership, so that the bridge compiles unchanged on a Mac.
 * Thread-safe: devices, queues, libraries, functions, pipeline states. Everything else (command buffers, encoders,
 * descriptors): one thread at a time.
 *
 * Every rule that Metal's framework or its validation layer asserts raises an NSException here, whose name begins
 * with "MTL" and names the subject (objects/ raise them). Left out: textures, render, heaps, fences, events,
 * function constants. What Apple does not have is in headers of its own: LinuxChecks.h.
 */
#import <Foundation/Foundation.h>
#import <Metal/MTLDefines.h>
#import <Metal/MTLTypes.h>
#import <Metal/MTLResource.h>
#import <Metal/MTLBuffer.h>
#import <Metal/MTLArgument.h>
#import <Metal/MTLLibrary.h>
#import <Metal/MTLBinaryArchive.h>
#import <Metal/MTLComputePipeline.h>
#import <Metal/MTLComputePass.h>
#import <Metal/MTLIndirectCommandEncoder.h>
#import <Metal/MTLIndirectCommandBuffer.h>
#import <Metal/MTLResidencySet.h>
#import <Metal/MTLCommandEncoder.h>
#import <Metal/MTLComputeCommandEncoder.h>
#import <Metal/MTLBlitCommandEncoder.h>
#import <Metal/MTLCommandBuffer.h>
#import <Metal/MTLCommandQueue.h>
#import <Metal/MTLDevice.h>
