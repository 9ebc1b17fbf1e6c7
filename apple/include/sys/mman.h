/* Memory mappings. */
#ifndef APPLE_SYS_MMAN_H
#define APPLE_SYS_MMAN_H

#include <sys/types.h>

#define PROT_NONE 0x00
#define PROT_READ 0x01
#define PROT_WRITE 0x02

#define MAP_SHARED 0x0001
#define MAP_PRIVATE 0x0002
#define MAP_FIXED 0x0010
#define MAP_ANON 0x1000
#define MAP_ANONYMOUS MAP_ANON
#define MAP_FAILED ((void *)-1)

#define MADV_NORMAL 0
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3
#define MADV_DONTNEED 4

extern void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
extern int munmap(void *address, size_t length);
extern int mprotect(void *address, size_t length, int protection);
extern int madvise(void *address, size_t length, int advice);

#endif
