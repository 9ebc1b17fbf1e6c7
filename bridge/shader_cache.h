/*
 * shader_cache.h: compiled pipelines of the shaders that ship, in a file of the user's cache directory.
 *
 * Metal compiles a kernel for the GPU when its pipeline is made. A binary archive keeps the result; it belongs to one
 * device, one build of the system and one version of the shaders, and the file's name says which. Whatever is wrong with
 * a file, the pipelines are compiled as if there were none, and the file is written anew.
 */
#ifndef BRIDGE_SHADER_CACHE_H
#define BRIDGE_SHADER_CACHE_H

#import <Metal/Metal.h>
#include <pthread.h>
#include <stdbool.h>

@class BunMetalDevice;

@interface BunMetalShaderCache : NSObject {
 @public
  id<MTLBinaryArchive> archive;
  char *path;
  pthread_mutex_t lock; /* over the archive and what follows */
  bool isDirty;         /* the archive has what the file has not */
  bool cannotWrite;     /* writing has failed, and is not tried again */
}
@end

/** Opens the cache of a device for the shaders whose source this is. nil where there is no place for one. +1. */
BunMetalShaderCache *bridgeShaderCacheOpen(BunMetalDevice *device, const char *source);

/** Makes a pipeline, from the cache or for it. nil with Metal's error. +1. */
id<MTLComputePipelineState> bridgeShaderCachePipeline(BunMetalShaderCache *cache, id<MTLDevice> device,
                                                      MTLComputePipelineDescriptor *descriptor,
                                                      MTLPipelineOption options,
                                                      MTLComputePipelineReflection **reflection, NSError **error);

/** Writes the file where there is something new: to a file of another name, which then takes the place of the old one. A
 *  failure is only counted. nil is fine. */
void bridgeShaderCacheSave(BunMetalShaderCache *cache);

/** Pipelines found in archives, pipelines that were not, and files that could not be written. */
void bridgeShaderCacheCounts(double *hits, double *misses, double *failures);

#endif
