/*
 * bridge_main.m: runs a test of the C ABI (test/native/bridge_*_test.c, whose main is called bridgeTest here) against
 * the code of a Mach-O library.
 *
 *   bridge_object PATH_OF_DYLIB [--load-only] [--hide SYMBOL]...
 *
 * With --load-only nothing of the library runs. A hidden symbol is missing, as on a system that is too old to have it.
 * Exits with 2 where the library cannot be loaded.
 */
#import <Metal/Metal.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bun_metal.h"
#include "exports.h"
#include "failure.h"
#include "library.h"
#include "loaded.h"
#include "macho.h"

extern int bridgeTest(void);

/* In bridge_stubs.S; ended by a NULL name. */
typedef struct BridgeExport {
  const char *name;
  void *address;
} BridgeExport;
extern BridgeExport bridgeExports[];

static bool takeExport(void *context, const char *name, void *address) {
  (void)context;
  for (BridgeExport *each = bridgeExports; each->name; each++) {
    if (strcmp(each->name, name) != 0) continue;
    each->address = address;
    return true;
  }
  return loaderFail("The library exports \"%s\", which bun_metal.h does not declare", name);
}

static bool connect(const Image *image) {
  if (!imageVisitExports(image, takeExport, NULL)) return false;
  for (const BridgeExport *each = bridgeExports; each->name; each++)
    if (!each->address) return loaderFail("The library does not export \"%s\", which bun_metal.h declares", each->name);
  return true;
}

/* Says whose code will run. */
static bool describe(const Image *image) {
  uint32_t count = 0;
  uint64_t version = 0;
  for (const BridgeExport *each = bridgeExports; each->name; each++, count++) {
    if (!imageHolds(image, each->address, 1)) return loaderFail("\"%s\" lies outside of the image", each->name);
    if (strcmp(each->name, "_bm_abi_version") == 0) version = (uint64_t)each->address;
  }
  static const char *const platforms[] = {[PLATFORM_MACOS] = "macOS",
                                          [PLATFORM_IOS] = "iOS",
                                          [PLATFORM_TVOS] = "tvOS",
                                          [PLATFORM_IOSSIMULATOR] = "iOS's simulator",
                                          [PLATFORM_TVOSSIMULATOR] = "tvOS's simulator"};
  printf("\"%s\": Mach-O for %s %u.%u at %p, %u exports, %u libraries, %u functions known to the unwinder\n",
         image->installName, platforms[image->platform], image->minimumSystem >> 16,
         image->minimumSystem >> 8 & 0xFF, (void *)image->base, count,
         image->libraryCount, loadedFunctions(image));
  printf("bm_abi_version is in the image, at its offset 0x%lx, and returns %u\n", version - (uint64_t)image->base,
         bm_abi_version());
  return true;
}

/* The layer's own counts: what the library reports for Apple, where nothing can be counted, is NaN. */
static bool leavesNothing(double objectsBefore) {
  double objects = NSLiveObjectCount();
  // Threads of the device may take a moment to drop their last object.
  for (int i = 0; i < 2000 && objects > objectsBefore; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    objects = NSLiveObjectCount();
  }
  double handles[BM_KIND_COUNT], statistics[BM_STATISTIC_COUNT];
  double handleCount = 0;
  bm_live_handles(handles, BM_KIND_COUNT);
  bm_statistics(statistics, BM_STATISTIC_COUNT);
  for (int i = 0; i < BM_KIND_COUNT; i++) handleCount += handles[i];
  printf("left: %g objects, %g handles, %g bytes in buffers; autoreleased with no pool: %g\n", objects - objectsBefore,
         handleCount, statistics[BM_STATISTIC_BUFFER_BYTES], NSObjectsWithoutPool());
  static char lines[16384];
  NSDescribeLiveObjects(lines, sizeof lines);
  if (objects > objectsBefore) printf("live objects:\n%s", lines);
  return objects <= objectsBefore && handleCount == 0 && statistics[BM_STATISTIC_BUFFER_BYTES] == 0 &&
         NSObjectsWithoutPool() == 0;
}

typedef struct Options {
  const char *path;
  bool isLoadOnly;
} Options;

static bool readOptions(int count, char **arguments, Options *options) {
  *options = (Options){.path = count > 1 ? arguments[1] : NULL};
  for (int i = 2; i < count; i++) {
    if (strcmp(arguments[i], "--load-only") == 0) options->isLoadOnly = true;
    else if (strcmp(arguments[i], "--hide") == 0 && i + 1 < count) libraryHide(arguments[++i]);
    else return false;
  }
  return options->path != NULL;
}

int main(int argumentCount, char **arguments) {
  setvbuf(stdout, NULL, _IOLBF, 0); // what was printed before a crash tells where it was
  Options options;
  if (!readOptions(argumentCount, arguments, &options)) {
    fprintf(stderr, "usage: %s PATH_OF_DYLIB [--load-only] [--hide SYMBOL]...\n", arguments[0]);
    return 2;
  }
  const Image *image = options.isLoadOnly ? prepareImage(options.path) : loadImage(options.path);
  if (!image || !connect(image) || (!options.isLoadOnly && !describe(image))) {
    fprintf(stderr, "The library cannot be loaded: %s\n", loaderFailure());
    return 2;
  }
  if (options.isLoadOnly) return 0;
  [MTLCreateSystemDefaultDevice() release]; // the layer keeps its devices: they are made before the first count
  double objectsBefore = NSLiveObjectCount();
  int failed = bridgeTest();
  bool isClean = leavesNothing(objectsBefore);
  printf("%s bridge\n", failed == 0 && isClean ? "ok  " : "FAIL");
  return failed == 0 && isClean ? 0 : 1;
}
