/*
 * cases_main.m: runs the loader's own cases: every export `case_...` of a Mach-O library, in a pool of its own.
 *
 *   cases PATH_OF_DYLIB
 */
#import <Foundation/Foundation.h>

#include <stdio.h>
#include <string.h>

#include "exports.h"
#include "failure.h"
#include "loaded.h"

static uint32_t caseCount, failureCount;

static bool runCase(void *context, const char *name, void *address) {
  (void)context;
  static const char prefix[] = "_case_";
  if (strncmp(name, prefix, sizeof prefix - 1) != 0) return true;
  double objects = NSLiveObjectCount(), withoutPool = NSObjectsWithoutPool();
  const char *problem;
  @autoreleasepool {
    problem = ((const char *(*)(void))address)();
  }
  if (!problem && NSLiveObjectCount() != objects) {
    static char lines[4096];
    NSDescribeLiveObjects(lines, sizeof lines);
    problem = lines;
    printf("objects were left behind:\n");
  }
  if (!problem && NSObjectsWithoutPool() != withoutPool) problem = "objects were autoreleased with no pool";
  printf("%s %s\n", problem ? "FAIL" : "ok  ", name + sizeof prefix - 1);
  if (problem) printf("%s\n", problem);
  caseCount++;
  failureCount += problem != NULL;
  return true;
}

int main(int argumentCount, char **arguments) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const Image *image = argumentCount == 2 ? loadImage(arguments[1]) : NULL;
  if (!image || !imageVisitExports(image, runCase, NULL)) {
    fprintf(stderr, "The library cannot be loaded: %s\n", loaderFailure());
    return 2;
  }
  printf("%u of %u cases failed, with %u functions known to the unwinder\n", failureCount, caseCount,
         loadedFunctions(image));
  return failureCount > 0 || caseCount == 0 ? 1 : 0;
}
