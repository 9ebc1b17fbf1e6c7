/* guarded.h: memory that ends where a page begins which cannot be read, so that who reads past its end is found. */
#ifndef TEST_NATIVE_GUARDED_H
#define TEST_NATIVE_GUARDED_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Guarded {
  uint8_t *bytes, *mapping;
  size_t mapped;
} Guarded;

static inline Guarded guarded(size_t length) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (length + page - 1) / page * page;
  Guarded g = {.mapped = whole + page};
  g.mapping = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (g.mapping == MAP_FAILED || mprotect(g.mapping + whole, page, PROT_NONE) != 0) abort();
  g.bytes = g.mapping + whole - length;
  return g;
}

static inline void unmap(Guarded g) { munmap(g.mapping, g.mapped); }

#endif
