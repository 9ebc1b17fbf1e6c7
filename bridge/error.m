#import "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for the first screens of a compiler's complaints; what is longer is cut. */
enum { MessageCapacity = 16384 };

static _Thread_local struct {
  bm_status status;
  size_t length;
  char text[MessageCapacity];
} lastError;

bm_status bridgeFail(bm_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(lastError.text, MessageCapacity, format, arguments);
  va_end(arguments);
  lastError.status = status;
  lastError.length = length < 0 ? 0 : length < MessageCapacity ? (size_t)length : MessageCapacity - 1;
  return status;
}

const char *bridgeErrorText(NSError *error) {
  const char *text = [[error localizedDescription] UTF8String];
  return text ? text : "no reason was given";
}

/* Our layer for Linux tells more than Metal does, and defines this strongly. */
extern const char *MTLReasonOfNil(void);

__attribute__((weak)) const char *MTLReasonOfNil(void) {
  return NULL;
}

const char *bridgeReasonOfNil(void) {
  return MTLReasonOfNil();
}

bm_status bridgeFailWithException(NSException *exception) {
  const char *name = [[exception name] UTF8String];
  const char *reason = [[exception reason] UTF8String];
  if (!name) name = "exception";
  // Metal's rules raise exceptions of their own name on Linux; Apple's validation layer raises or aborts.
  bool isRule = strncmp(name, "MTL", 3) == 0 || strncmp(name, "Metal", 5) == 0;
  return bridgeFail(isRule ? BM_ERROR_VALIDATION : BM_ERROR_INTERNAL, "%s: %s", name, reason ? reason : "no reason");
}

bm_status bridgeFailWithUnknown(void) {
  return bridgeFail(BM_ERROR_INTERNAL, "Something was thrown that is not an NSException");
}

uint32_t bridgeCopyText(const char *text, size_t length, char *out, uint32_t capacity) {
  if (length > UINT32_MAX) length = UINT32_MAX;
  if (out && capacity > 0) {
    size_t copied = length < capacity ? length : capacity - 1;
    memcpy(out, text, copied);
    out[copied] = 0;
  }
  return (uint32_t)length;
}

/* The next three send no message, so they need neither a pool nor a barrier. */

uint32_t bm_abi_version(void) {
  return BM_ABI_VERSION;
}

bm_status bm_error_code(void) {
  return lastError.status;
}

uint32_t bm_error_message(char *out, uint32_t capacity) {
  return bridgeCopyText(lastError.text, lastError.length, out, capacity);
}
