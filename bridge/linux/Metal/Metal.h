/*
 * Metal for Linux: compute, with Apple's names, values and ownership, so that the bridge compiles unchanged on a Mac.
 * Thread-safe: devices, queues, libraries, functions, pipeline states. Everything else (command buffers, encoders,
 * descriptors): one thread at a time.
 *
 * Every rule that Metal's framework or its validation layer asserts raises an NSException here, whose name is
 * "MTLValidation" and the rule (objects/Validation.h has the list). Left out: textures, render, heaps, fences, events,
 * indirect command buffers, residency sets, function constants, binary archives.
 */
#import <Foundation/Foundation.h>
#import <Metal/MTLDefines.h>
#import <Metal/MTLTypes.h>
#import <Metal/MTLResource.h>
#import <Metal/MTLBuffer.h>
#import <Metal/MTLArgument.h>
#import <Metal/MTLLibrary.h>
#import <Metal/MTLComputePipeline.h>
#import <Metal/MTLComputePass.h>
#import <Metal/MTLCommandEncoder.h>
#import <Metal/MTLComputeCommandEncoder.h>
#import <Metal/MTLBlitCommandEncoder.h>
#import <Metal/MTLCommandBuffer.h>
#import <Metal/MTLCommandQueue.h>
#import <Metal/MTLDevice.h>
