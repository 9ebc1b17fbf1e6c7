/*
 * objc_layout.h: how Apple's compiler lays out classes, from the names of objc4's <objc-runtime-new.h>.
 */
#ifndef LOADER_OBJC_LAYOUT_H
#define LOADER_OBJC_LAYOUT_H

#include <stdint.h>

typedef struct class_ro {
  uint32_t flags, instanceStart, instanceSize, reserved;
  const uint8_t *ivarLayout;
  const char *name;
  const struct method_list *methods;
  const struct protocol_list *protocols;
  const struct ivar_list *ivars;
  const uint8_t *weakIvarLayout;
  const void *properties;
} class_ro;

enum { RO_META = 1, RO_ROOT = 2 };

typedef struct class_data {
  struct class_data *isa; /* its metaclass */
  const void *superclass; /* of the image or, once bound, of this process */
  const void *cache, *vtable;
  const class_ro *ro;
} class_data;

/* `size` is that of an entry, with flags. */
typedef struct method_list {
  uint32_t size, count;
} method_list;

enum : uint32_t { MethodListIsRelative = 0x80000000, MethodListFlags = 0xFFFF0003 };

typedef struct method {
  const char *name, *types;
  void *implementation;
} method;

/* Each number is a distance from itself; `name` leads to a selector reference. */
typedef struct relative_method {
  int32_t name, types, implementation;
} relative_method;

typedef struct ivar_list {
  uint32_t size, count;
} ivar_list;

typedef struct ivar {
  int32_t *offset; /* a variable of 8 bytes, of which the runtime writes the lower 4 */
  const char *name, *type;
  uint32_t alignment; /* a power of two; all ones for a pointer's */
  uint32_t size;
} ivar;

typedef struct protocol_list {
  uint64_t count;
} protocol_list;

/* `name` is where GCC's runtime has it, too. */
typedef struct protocol {
  const void *isa;
  const char *name;
} protocol;

#endif
