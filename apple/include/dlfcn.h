/* Loaded libraries. */
#ifndef APPLE_DLFCN_H
#define APPLE_DLFCN_H

#define RTLD_LAZY 0x1
#define RTLD_NOW 0x2
#define RTLD_DEFAULT ((void *)-2)

typedef struct dl_info {
  const char *dli_fname; /* path of the library that an address lies in */
  void *dli_fbase;
  const char *dli_sname; /* the nearest symbol */
  void *dli_saddr;
} Dl_info;

extern void *dlopen(const char *path, int mode);
extern void *dlsym(void *handle, const char *name);
extern char *dlerror(void);
extern int dladdr(const void *address, Dl_info *out);

#endif
