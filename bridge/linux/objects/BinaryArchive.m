/*
 * MTLBinaryArchive. What takes time on this layer is compiling source to a library; a pipeline is found in it at once. So an
 * archive holds what identifies pipelines: the function's name, the identity of its library and the options.
 *
 * File: FileHeader, then `count` entries, all little-endian as the machine is.
 */
#import "Objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NameBytes = 112, FileVersion = 1, MostEntries = 1 << 16 };

typedef struct ArchiveEntry {
  uint64_t library;
  uint32_t supportsIndirectCommands;
  uint32_t mostThreads;
  char function[NameBytes]; /* its end always 0 */
} ArchiveEntry;

typedef struct FileHeader {
  char magic[8];
  uint32_t version;
  uint32_t count;
  char device[64]; /* the architecture */
  uint64_t hash;   /* of the entries */
} FileHeader;

static const char magic[8] = "BUNMTLAR";

/* FNV-1a: against damage, not against intent. */
static uint64_t hashOf(const void *bytes, size_t length) {
  uint64_t hash = 14695981039346656037ull;
  for (size_t i = 0; i < length; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211ull;
  return hash;
}

static FileHeader headerFor(const LinuxDevice *device, const ArchiveEntry *entries, NSUInteger count) {
  FileHeader header = {.version = FileVersion, .count = (uint32_t)count, .hash = hashOf(entries, count * sizeof *entries)};
  memcpy(header.magic, magic, sizeof magic);
  snprintf(header.device, sizeof header.device, "%s", device->properties.architecture);
  return header;
}

static ArchiveEntry entryFor(MTLComputePipelineDescriptor *descriptor) {
  LinuxFunction *function = (LinuxFunction *)[descriptor computeFunction];
  ArchiveEntry entry;
  memset(&entry, 0, sizeof entry);
  entry.library = function->owner->library->identity;
  entry.supportsIndirectCommands = [descriptor supportIndirectCommandBuffers] ? 1 : 0;
  entry.mostThreads = (uint32_t)[descriptor maxTotalThreadsPerThreadgroup];
  snprintf(entry.function, sizeof entry.function, "%s", function->function->name);
  return entry;
}

/* The file's entries, malloc'ed; NULL with *problem where it is no archive for this device. */
static ArchiveEntry *readEntries(const LinuxDevice *device, FILE *file, NSUInteger *count, const char **problem) {
  FileHeader header;
  if (fread(&header, sizeof header, 1, file) != 1 || memcmp(header.magic, magic, sizeof magic) != 0) {
    *problem = "the file is not a binary archive";
    return NULL;
  }
  struct stat information;
  bool isWhole = header.version == FileVersion && header.count <= MostEntries && fstat(fileno(file), &information) == 0 &&
                 (uint64_t)information.st_size == sizeof header + header.count * sizeof(ArchiveEntry);
  header.device[sizeof header.device - 1] = 0;
  if (isWhole && strcmp(header.device, device->properties.architecture) != 0) {
    *problem = "the binary archive was made for another device";
    return NULL;
  }
  ArchiveEntry *entries = isWhole ? malloc(header.count * sizeof *entries + 1) : NULL;
  if (entries && fread(entries, sizeof *entries, header.count, file) == header.count &&
      hashOf(entries, header.count * sizeof *entries) == header.hash) {
    for (uint32_t i = 0; i < header.count; i++) entries[i].function[NameBytes - 1] = 0;
    *count = header.count;
    return entries;
  }
  free(entries);
  *problem = "the binary archive is damaged, or of another version of this layer";
  return NULL;
}

@implementation LinuxBinaryArchive

- (id)initWithDevice:(LinuxDevice *)device descriptor:(MTLBinaryArchiveDescriptor *)descriptor error:(NSError **)error {
  self = [super init];
  if (!self) return nil;
  owner = device;
  pthread_mutex_init(&lock, NULL);
  if (![descriptor url]) return self;
  const char *path = [[[descriptor url] path] UTF8String], *problem = "there is no such file";
  FILE *file = path ? fopen(path, "rbe") : NULL;
  if (file) {
    entries = readEntries(device, file, &entryCount, &problem);
    entryCapacity = entryCount;
    fclose(file);
  }
  if (entries) return self;
  char message[512];
  snprintf(message, sizeof message, "Cannot load \"%s\": %s", path ? path : "(nil)", problem);
  MTLSetError(error, MTLBinaryArchiveDomain, MTLBinaryArchiveErrorInvalidFile, message);
  [self release];
  return nil;
}

- (void)dealloc {
  pthread_mutex_destroy(&lock);
  free(entries);
  [super dealloc];
}

- (id<MTLDevice>)device {
  return owner;
}

- (ArchiveEntry)entryOf:(MTLComputePipelineDescriptor *)descriptor {
  if (!descriptor) MTLBreakRule(@"MTLPipelineDescriptor", @"the pipeline descriptor is nil");
  if (![descriptor computeFunction]) MTLBreakRule(@"MTLPipelineFunction", @"the descriptor has no function");
  if ([[descriptor computeFunction] device] != owner)
    MTLBreakRule(@"MTLDeviceMismatch", @"the function is of another device");
  return entryFor(descriptor);
}

- (bool)hasPipeline:(MTLComputePipelineDescriptor *)descriptor {
  const ArchiveEntry wanted = [self entryOf:descriptor];
  bool isFound = false;
  pthread_mutex_lock(&lock);
  for (NSUInteger i = 0; i < entryCount && !isFound; i++) isFound = memcmp(&entries[i], &wanted, sizeof wanted) == 0;
  pthread_mutex_unlock(&lock);
  return isFound;
}

- (BOOL)addComputePipelineFunctionsWithDescriptor:(MTLComputePipelineDescriptor *)descriptor error:(NSError **)error {
  const ArchiveEntry entry = [self entryOf:descriptor];
  if ([self hasPipeline:descriptor]) return YES;
  bool isAdded = false;
  pthread_mutex_lock(&lock);
  if (entryCount == entryCapacity) {
    NSUInteger capacity = entryCapacity ? entryCapacity * 2 : 16;
    ArchiveEntry *grown = capacity > MostEntries ? NULL : realloc(entries, capacity * sizeof *entries);
    if (grown) {
      entries = grown;
      entryCapacity = capacity;
    }
  }
  if (entryCount < entryCapacity) {
    entries[entryCount++] = entry;
    isAdded = true;
  }
  pthread_mutex_unlock(&lock);
  if (!isAdded)
    MTLSetError(error, MTLBinaryArchiveDomain, MTLBinaryArchiveErrorInternalError, "the binary archive is full");
  return isAdded ? YES : NO;
}

/* A file that is half written is never seen: it gets its name when it is whole. */
- (BOOL)serializeToURL:(NSURL *)url error:(NSError **)error {
  const char *path = [[url path] UTF8String];
  if (!path) MTLBreakRule(@"MTLBinaryArchiveURL", @"an archive cannot be written to a nil URL");
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.%ld.%p", path, (long)getpid(), (void *)self);
  pthread_mutex_lock(&lock);
  const FileHeader header = headerFor(owner, entries, entryCount);
  FILE *file = fopen(temporary, "wbe");
  bool isWritten = file && fwrite(&header, sizeof header, 1, file) == 1 &&
                   fwrite(entries, sizeof *entries, entryCount, file) == entryCount;
  if (file && fclose(file) != 0) isWritten = false;
  pthread_mutex_unlock(&lock);
  if (isWritten && rename(temporary, path) == 0) return YES;
  char message[512];
  snprintf(message, sizeof message, "Cannot write \"%s\": %s", path, strerror(errno));
  if (file) unlink(temporary);
  MTLSetError(error, MTLBinaryArchiveDomain, MTLBinaryArchiveErrorInternalError, message);
  return NO;
}

@end
