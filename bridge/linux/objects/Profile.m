/*
 * Selectors that the system of a device profile lacks. They are taken from the classes of this layer, so that a caller that
 * does not ask respondsToSelector: fails here as it does there.
 */
#import "Indirect.h"

#import <Foundation/NSSelectorFilter.h>
#include <string.h>

static const char *const *missing;

static bool isMissing(const char *name) {
  for (const char *const *at = missing; at && *at; at++)
    if (strcmp(*at, name) == 0) return true;
  return false;
}

static bool isHidden(SEL selector) {
  return isMissing(sel_getName(selector));
}

static id raiseMissing(id receiver, SEL selector, ...) {
  [NSException raise:NSInvalidArgumentException
              format:@"-[%s %s]: unrecognized selector: the system of this device profile lacks it",
                     class_getName(object_getClass(receiver)), sel_getName(selector)];
  return nil;
}

void MTLRemoveSelectors(const char *const *names) {
  if (!names || !*names) return;
  missing = names;
  NSIsSelectorHidden = isHidden;
  Class classes[] = {[LinuxDevice class],          [LinuxBuffer class],        [LinuxCommandQueue class],
                     [LinuxCommandBuffer class],   [LinuxPipelineState class], [LinuxIndirectCommandBuffer class],
                     [MTLCompileOptions class],    [MTLComputePipelineReflection class]};
  for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
    for (const char *const *name = names; *name; name++) {
      SEL selector = sel_registerName(*name);
      if (class_respondsToSelector(classes[c], selector)) class_replaceMethod(classes[c], selector, raiseMissing, "@@:");
    }
  }
}
