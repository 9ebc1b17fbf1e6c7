/* Memory mappings. */
#ifndef APPLE_SYS_MMAN_H
#define APPLE_SYS_MMAN_H

#include <sys/types.h>

#define PROT_READ 0x01
#define PROT_WRITE 0x02

#define MAP_PRIVATE 0x0002
#define MAP_ANON 0x1000
#define MAP_FAILED ((void *)-1)

extern void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset);
extern int munmap(void *address, size_t length);

#endif
