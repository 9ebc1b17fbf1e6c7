#import "shader_cache.h"

#import "device.h"
#import "export.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

/* Apple's alone; asked for the build of the system. */
extern int sysctlbyname(const char *name, void *value, size_t *length, void *newValue, size_t newLength)
    __attribute__((weak));

static atomic_uint hitCount, missCount, failureCount;

void bridgeShaderCacheCounts(double *hits, double *misses, double *failures) {
  *hits = atomic_load(&hitCount);
  *misses = atomic_load(&missCount);
  *failures = atomic_load(&failureCount);
}

@implementation BunMetalShaderCache

/* Takes over the caller's references to both. */
- (id)initWithArchive:(id<MTLBinaryArchive>)anArchive path:(char *)aPath {
  self = [super init];
  if (!self) {
    [anArchive release];
    free(aPath);
    return nil;
  }
  archive = anArchive;
  path = aPath;
  pthread_mutex_init(&lock, NULL);
  return self;
}

- (void)dealloc {
  if (path) {
    bridgeShaderCacheSave(self);
    pthread_mutex_destroy(&lock);
  }
  [archive release];
  free(path);
  [super dealloc];
}

@end

/* ---- where the file is ------------------------------------------------------------------------------------------- */

static bool isDirectory(const char *path) {
  struct stat information;
  return stat(path, &information) == 0 && S_ISDIR(information.st_mode);
}

/* Makes the directory where it is not there. */
static bool haveDirectory(const char *path) {
  return isDirectory(path) || mkdir(path, 0700) == 0 || isDirectory(path);
}

/* The user's cache directory: XDG_CACHE_HOME where it is set, Apple's where there is one, else the XDG's default. */
static bool writeDirectory(char *path, size_t capacity) {
  const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int length = 0;
  if (xdg && xdg[0] == '/') {
    length = snprintf(path, capacity, "%s", xdg);
  } else if (home && home[0] == '/') {
    length = snprintf(path, capacity, "%s/Library/Caches", home);
    if (length > 0 && (size_t)length < capacity && !isDirectory(path))
      length = snprintf(path, capacity, "%s/.cache", home);
  }
  static const char own[] = "/bun-metal";
  if (length <= 0 || (size_t)length + sizeof own > capacity || !haveDirectory(path)) return false;
  memcpy(path + length, own, sizeof own);
  return haveDirectory(path);
}

/* FNV-1a, 64 bits, over the text and its end. */
static uint64_t hashText(uint64_t hash, const char *text) {
  for (const char *c = text ? text : ""; ; c++) {
    hash = (hash ^ (uint8_t)*c) * 0x100000001B3u;
    if (!*c) return hash;
  }
}

/* What an archive depends on, as one number. */
static uint64_t keyOf(const BunMetalDevice *device, const char *source) {
  char build[64] = "", numbers[64];
  size_t length = sizeof build - 1;
  if (sysctlbyname && sysctlbyname("kern.osversion", build, &length, NULL, 0) != 0) build[0] = 0;
  snprintf(numbers, sizeof numbers, "%u %lu", BM_ABI_VERSION, (unsigned long)device->policy.language);
  uint64_t hash = hashText(0xCBF29CE484222325u, source);
  hash = hashText(hash, [[device->metal name] UTF8String]);
  if ([device->metal respondsToSelector:@selector(architecture)])
    hash = hashText(hash, [[[device->metal architecture] name] UTF8String]);
  return hashText(hashText(hash, build), numbers);
}

static NSURL *urlOf(const char *path) {
  NSString *text = [NSString stringWithUTF8String:path];
  return text ? [NSURL fileURLWithPath:text] : nil;
}

/* ---- the archive ------------------------------------------------------------------------------------------------- */

/* The archive of a file, or an empty one where `url` is nil. nil where Metal refuses. +1. */
static id<MTLBinaryArchive> newArchive(id<MTLDevice> device, NSURL *url) {
  BRIDGE_PINNED(MTLBinaryArchiveDescriptor) descriptor = [[MTLBinaryArchiveDescriptor alloc] init];
  [descriptor setUrl:url];
  @try {
    return [device newBinaryArchiveWithDescriptor:descriptor error:NULL];
  } @catch (NSException *exception) {
    return nil; // a damaged file: no more than a miss
  }
}

BunMetalShaderCache *bridgeShaderCacheOpen(BunMetalDevice *device, const char *source) {
  if (!bridgeUses(device, BM_FEATURE_SHADER_CACHE)) return nil;
  char path[4096];
  if (!writeDirectory(path, sizeof path - 64)) return nil;
  size_t length = strlen(path);
  snprintf(path + length, sizeof path - length, "/shaders-%016" PRIx64 ".metalar", keyOf(device, source));
  id<MTLBinaryArchive> archive = access(path, R_OK) == 0 ? newArchive(device->metal, urlOf(path)) : nil;
  if (!archive) archive = newArchive(device->metal, nil);
  char *copy = archive ? strdup(path) : NULL;
  if (!copy) {
    [archive release];
    return nil;
  }
  return [[BunMetalShaderCache alloc] initWithArchive:archive path:copy];
}

/* Makes the pipeline with the lock held. */
static id<MTLComputePipelineState> newPipeline(BunMetalShaderCache *cache, id<MTLDevice> device,
                                               MTLComputePipelineDescriptor *descriptor, MTLPipelineOption options,
                                               MTLComputePipelineReflection **reflection, NSError **error) {
  [descriptor setBinaryArchives:[NSArray arrayWithObject:cache->archive]];
  id<MTLComputePipelineState> pipeline =
      [device newComputePipelineStateWithDescriptor:descriptor
                                            options:options | MTLPipelineOptionFailOnBinaryArchiveMiss
                                         reflection:reflection
                                              error:NULL];
  if (pipeline) {
    atomic_fetch_add(&hitCount, 1);
    return pipeline;
  }
  atomic_fetch_add(&missCount, 1);
  [descriptor setBinaryArchives:nil];
  pipeline = [device newComputePipelineStateWithDescriptor:descriptor
                                                   options:options
                                                reflection:reflection
                                                     error:error];
  if (pipeline && [cache->archive addComputePipelineFunctionsWithDescriptor:descriptor error:NULL])
    cache->isDirty = true;
  return pipeline;
}

id<MTLComputePipelineState> bridgeShaderCachePipeline(BunMetalShaderCache *cache, id<MTLDevice> device,
                                                      MTLComputePipelineDescriptor *descriptor,
                                                      MTLPipelineOption options,
                                                      MTLComputePipelineReflection **reflection, NSError **error) {
  pthread_mutex_lock(&cache->lock);
  @try {
    return newPipeline(cache, device, descriptor, options, reflection, error);
  } @finally {
    pthread_mutex_unlock(&cache->lock);
  }
}

/* With the lock held. */
static bool writeFile(BunMetalShaderCache *cache) {
  static atomic_uint number;
  char temporary[4096 + 64];
  snprintf(temporary, sizeof temporary, "%s.%ld-%u.tmp", cache->path, (long)getpid(), atomic_fetch_add(&number, 1));
  bool isWritten = false;
  @try {
    isWritten = [cache->archive serializeToURL:urlOf(temporary) error:NULL] && rename(temporary, cache->path) == 0;
  } @catch (NSException *exception) {
    // As any other failure.
  }
  if (!isWritten) unlink(temporary);
  return isWritten;
}

void bridgeShaderCacheSave(BunMetalShaderCache *cache) {
  if (!cache) return;
  pthread_mutex_lock(&cache->lock);
  if (cache->isDirty && !cache->cannotWrite) {
    cache->cannotWrite = !writeFile(cache);
    cache->isDirty = cache->cannotWrite;
    if (cache->cannotWrite) atomic_fetch_add(&failureCount, 1);
  }
  pthread_mutex_unlock(&cache->lock);
}
