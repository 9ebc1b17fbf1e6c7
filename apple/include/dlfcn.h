/* Loaded libraries. */
#ifndef APPLE_DLFCN_H
#define APPLE_DLFCN_H

typedef struct dl_info {
  const char *dli_fname; /* path of the library that an address lies in */
  void *dli_fbase;
  const char *dli_sname; /* the nearest symbol */
  void *dli_saddr;
} Dl_info;

extern int dladdr(const void *address, Dl_info *out);

#endif
