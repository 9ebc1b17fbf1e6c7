#import "variadic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "darwin_files.h"

#if defined(__x86_64__)

int variadicPrint(char *out, size_t capacity, const char *format, ...) {
  va_list list;
  va_start(list, format);
  int length = vsnprintf(out, capacity, format, list);
  va_end(list);
  return length;
}

/* A va_list is an array of one structure: what arrives is its address. */
int variadicPrintList(char *out, size_t capacity, const char *format, void *list) {
  return vsnprintf(out, capacity, format, *(va_list *)list);
}

int variadicOpen(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  unsigned mode = va_arg(list, unsigned);
  va_end(list);
  return darwinOpen(path, flags, mode);
}

#else

/* A va_list whose registers are used up: all arguments come from the stack. From the procedure call standard. */
static va_list *listOf(va_list *list, void *stack) {
  struct {
    void *stack, *generalTop, *vectorTop;
    int generalOffset, vectorOffset;
  } empty = {.stack = stack};
  _Static_assert(sizeof empty == sizeof *list, "the layout of va_list");
  memcpy(list, &empty, sizeof empty);
  return list;
}

int variadicPrintList(char *out, size_t capacity, const char *format, void *stack) {
  va_list list;
  return vsnprintf(out, capacity, format, *listOf(&list, stack));
}

/* The next three are jumped to from variadic_aarch64.S, with the place of the variable arguments behind the others. */

__attribute__((visibility("hidden"))) int variadicOpenFrom(const char *path, int flags, const unsigned *stack) {
  return darwinOpen(path, flags, *stack);
}

__attribute__((visibility("hidden"))) id variadicStringFrom(Class cls, SEL selector, NSString *format, void *stack) {
  (void)selector;
  va_list list;
  return [[[cls alloc] initWithFormat:format arguments:*listOf(&list, stack)] autorelease];
}

__attribute__((visibility("hidden"))) void variadicRaiseFrom(Class cls, SEL selector, NSString *name, NSString *format,
                                                             void *stack) {
  (void)selector;
  va_list list;
  NSString *reason = [[[NSString alloc] initWithFormat:format arguments:*listOf(&list, stack)] autorelease];
  [[cls exceptionWithName:name reason:reason userInfo:nil] raise];
}

extern id variadicString(id self, SEL selector, ...);
extern id variadicRaise(id self, SEL selector, ...);

IMP variadicMethod(SEL selector, IMP method) {
  const char *name = sel_getName(selector);
  if (strcmp(name, "stringWithFormat:") == 0) return variadicString;
  if (strcmp(name, "raise:format:") == 0) return variadicRaise;
  return method;
}

/* Called by loaderMessageSend. */
extern IMP objc_msg_lookup(id receiver, SEL selector);
__attribute__((visibility("hidden"))) IMP loaderLookUp(id receiver, SEL selector) {
  return variadicMethod(selector, objc_msg_lookup(receiver, selector));
}

#endif
