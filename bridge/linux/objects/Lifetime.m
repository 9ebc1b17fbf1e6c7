/* Lifetimes, and the count of those that ended too early: see Lifetime.h. */
#import "Lifetime.h"

#import <Metal/LinuxChecks.h>
#include <stdlib.h>
#include <string.h>

static atomic_ulong releasedInUse;

double MTLObjectsReleasedInUse(void) {
  return (double)atomic_load(&releasedInUse);
}

void *MTLNewLifetime(size_t size, const char *kind, void (*end)(Lifetime *)) {
  Lifetime *lifetime = calloc(1, size);
  if (!lifetime) return NULL;
  atomic_init(&lifetime->references, 1);
  atomic_init(&lifetime->uses, 1);
  lifetime->kind = kind;
  lifetime->end = end;
  return lifetime;
}

void MTLUse(Lifetime *lifetime) {
  atomic_fetch_add_explicit(&lifetime->uses, 1, memory_order_relaxed);
}

void MTLEndUse(Lifetime *lifetime) {
  if (atomic_fetch_sub_explicit(&lifetime->uses, 1, memory_order_acq_rel) != 1) return;
  lifetime->end(lifetime);
  MTLUnrefer(lifetime);
}

void MTLRefer(Lifetime *lifetime) {
  atomic_fetch_add_explicit(&lifetime->references, 1, memory_order_relaxed);
}

void MTLUnrefer(Lifetime *lifetime) {
  if (atomic_fetch_sub_explicit(&lifetime->references, 1, memory_order_acq_rel) != 1) return;
  free(lifetime->label);
  free(lifetime);
}

void MTLObjectReleased(Lifetime *lifetime, NSString *label) {
  if (!lifetime) return;
  const char *text = [label UTF8String];
  if (text) lifetime->label = strdup(text);
  atomic_store(&lifetime->isReleased, true);
  if (atomic_load(&lifetime->uses) > 1) atomic_fetch_add(&releasedInUse, 1);
  MTLEndUse(lifetime);
}
