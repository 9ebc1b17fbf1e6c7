/*
 * Lifetime.h: what outlives an object that command buffers use. Internal to objects/.
 *
 * A command buffer with unretained references, and one that executes an indirect command buffer, relies on its caller to
 * keep objects alive until completion. Here it marks what it uses: memory then stays valid even where the caller breaks
 * the rule, and the command buffer finds out. The struct is the first member of what the object holds (memory, code).
 */
#ifndef METAL_LINUX_LIFETIME_H
#define METAL_LINUX_LIFETIME_H

#import <Foundation/Foundation.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct Lifetime {
  atomic_uint references; /* who may read this struct; all uses together are one */
  atomic_uint uses;       /* the object, and each use of a command buffer: the last one ends what the object held */
  atomic_bool isReleased; /* the object is gone */
  const char *kind;       /* "buffer" */
  char *label;            /* of the object, once it is gone; malloc'ed or NULL */
  void (*end)(struct Lifetime *);
} Lifetime;

/** Zeroed memory of `size` bytes that begins with a Lifetime, used once, by the object; NULL when memory is out. */
extern void *MTLNewLifetime(size_t size, const char *kind, void (*end)(Lifetime *));

extern void MTLUse(Lifetime *lifetime);
extern void MTLEndUse(Lifetime *lifetime);

/** Keeps the struct, but not what the object held. */
extern void MTLRefer(Lifetime *lifetime);
extern void MTLUnrefer(Lifetime *lifetime);

/** The object's dealloc: ends its use, and counts where it was not the last. `lifetime` may be NULL. */
extern void MTLObjectReleased(Lifetime *lifetime, NSString *label);

#endif
