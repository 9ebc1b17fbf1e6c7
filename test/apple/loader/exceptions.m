#import "exceptions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#import "objc_runtime.h"

enum { DeepestCatch = 32 };

/* libobjc/exception.c of GCC: the object follows the unwinder's part. */
typedef struct GccException {
  struct _Unwind_Exception base;
  id value;
} GccException;

/* "GNUCOBJC", the first letter in the highest byte. */
static const _Unwind_Exception_Class gccException = 0x474E55434F424A43;

extern void objc_exception_throw(id object) __attribute__((noreturn));

void *exceptionTypeTable[4];
ExceptionType exceptionTypeId = {(const void *const *)exceptionTypeTable + 2, "id", NULL};
ExceptionType exceptionTypeNSException = {(const void *const *)exceptionTypeTable + 2, "NSException", NULL};

void exceptionsPrepare(void) {
  exceptionTypeNSException.cls = (const void *)[NSException class];
}

static bool isObjectiveC(const struct _Unwind_Exception *exception) {
  return exception->exception_class == gccException;
}

static id valueOf(struct _Unwind_Exception *exception) {
  return isObjectiveC(exception) ? ((GccException *)(void *)exception)->value : nil;
}

/* ---- the language-specific data of a function ------------------------------------------------------------------- */

/* How numbers in it are written: DWARF's pointer encodings, as <dwarf.h> names them. */
enum {
  DW_EH_PE_omit = 0xFF,
  DW_EH_PE_absptr = 0x00,
  DW_EH_PE_uleb128 = 0x01,
  DW_EH_PE_udata2 = 0x02,
  DW_EH_PE_udata4 = 0x03,
  DW_EH_PE_udata8 = 0x04,
  DW_EH_PE_sleb128 = 0x09,
  DW_EH_PE_sdata2 = 0x0A,
  DW_EH_PE_sdata4 = 0x0B,
  DW_EH_PE_sdata8 = 0x0C,
  DW_EH_PE_pcrel = 0x10,
  DW_EH_PE_indirect = 0x80
};

static uint64_t readUnsigned(const uint8_t **at) {
  uint64_t value = 0;
  for (uint32_t shift = 0;; shift += 7) {
    uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) return value;
  }
}

static int64_t readSigned(const uint8_t **at) {
  uint64_t value = 0;
  uint32_t shift = 0;
  uint8_t byte;
  do {
    byte = *(*at)++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    shift += 7;
  } while (byte & 0x80);
  if ((byte & 0x40) && shift < 64) value |= ~0ull << shift;
  return (int64_t)value;
}

static uint64_t readFixed(const uint8_t **at, size_t size, bool isSigned) {
  uint64_t value = 0;
  memcpy(&value, *at, size);
  *at += size;
  if (isSigned && size < 8 && value >> (size * 8 - 1)) value |= ~0ull << (size * 8);
  return value;
}

static uint64_t readEncoded(const uint8_t **at, uint8_t encoding) {
  const uint8_t *place = *at;
  uint64_t value;
  switch (encoding & 0x0F) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8: value = readFixed(at, 8, false); break;
    case DW_EH_PE_uleb128: value = readUnsigned(at); break;
    case DW_EH_PE_sleb128: value = (uint64_t)readSigned(at); break;
    case DW_EH_PE_udata2: value = readFixed(at, 2, false); break;
    case DW_EH_PE_sdata2: value = readFixed(at, 2, true); break;
    case DW_EH_PE_udata4: value = readFixed(at, 4, false); break;
    case DW_EH_PE_sdata4: value = readFixed(at, 4, true); break;
    default: fprintf(stderr, "Exception tables of encoding \"0x%x\" are not known\n", encoding); abort();
  }
  if (value == 0) return 0;
  if (encoding & DW_EH_PE_pcrel) value += (uint64_t)place;
  return encoding & DW_EH_PE_indirect ? *(const uint64_t *)value : value;
}

/* Where one call goes when it throws. */
typedef struct CallSite {
  uint64_t landingPad; /* 0: nowhere, the exception passes */
  uint64_t action;     /* 0: cleanups alone; else 1 + the place of the first action */
} CallSite;

typedef struct FunctionData {
  const uint8_t *actions;
  const uint8_t *types; /* the end of the table, which is indexed backwards from 1 */
  uint8_t typeEncoding;
} FunctionData;

/* Finds the call site of an address. False where the tables have none: the call was not to throw at all. */
static bool findCallSite(const uint8_t *at, uint64_t functionStart, uint64_t address, FunctionData *data,
                         CallSite *site) {
  uint8_t padEncoding = *at++;
  uint64_t padStart = padEncoding == DW_EH_PE_omit ? functionStart : readEncoded(&at, padEncoding);
  data->typeEncoding = *at++;
  data->types = NULL;
  if (data->typeEncoding != DW_EH_PE_omit) {
    uint64_t distance = readUnsigned(&at);
    data->types = at + distance;
  }
  uint8_t siteEncoding = *at++;
  uint64_t size = readUnsigned(&at);
  data->actions = at + size;
  while (at < data->actions) {
    uint64_t start = readEncoded(&at, siteEncoding), length = readEncoded(&at, siteEncoding);
    uint64_t landingPad = readEncoded(&at, siteEncoding), action = readUnsigned(&at);
    if (address < functionStart + start || address >= functionStart + start + length) continue;
    *site = (CallSite){landingPad ? padStart + landingPad : 0, action};
    return true;
  }
  return false;
}

static const ExceptionType *typeAt(const FunctionData *data, int64_t index) {
  size_t size = (data->typeEncoding & 7) == DW_EH_PE_udata4 ? 4 : (data->typeEncoding & 7) == DW_EH_PE_udata2 ? 2 : 8;
  const uint8_t *entry = data->types - index * (int64_t)size;
  return (const ExceptionType *)readEncoded(&entry, data->typeEncoding);
}

/* A type of NULL is a handler for everything. */
static bool catches(const ExceptionType *type, struct _Unwind_Exception *exception) {
  if (!type) return true;
  id value = valueOf(exception);
  if (!isObjectiveC(exception)) return false;
  return type == &exceptionTypeId || [value isKindOfClass:objcClassFor(type->cls)];
}

/* The type index of the first handler that takes the exception; 0 where only cleanups want to see it. `hasCleanup` then
 * says whether there is one. */
static int64_t findHandler(const FunctionData *data, const CallSite *site, struct _Unwind_Exception *exception,
                           bool *hasCleanup) {
  *hasCleanup = site->action == 0;
  if (site->action == 0) return 0;
  const uint8_t *at = data->actions + site->action - 1;
  for (;;) {
    int64_t index = readSigned(&at);
    const uint8_t *from = at;
    int64_t next = readSigned(&at);
    if (index == 0) *hasCleanup = true;
    if (index > 0 && catches(typeAt(data, index), exception)) return index;
    if (next == 0) return 0;
    at = from + next;
  }
}

_Unwind_Reason_Code exceptionPersonality(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                         struct _Unwind_Exception *exception, struct _Unwind_Context *context) {
  (void)kind;
  if (version != 1) return _URC_FATAL_PHASE1_ERROR;
  const uint8_t *table = (const uint8_t *)_Unwind_GetLanguageSpecificData(context);
  if (!table) return _URC_CONTINUE_UNWIND;
  FunctionData data;
  CallSite site;
  // The address is that behind the call, which may be the next site's already.
  if (!findCallSite(table, _Unwind_GetRegionStart(context), _Unwind_GetIP(context) - 1, &data, &site))
    exceptionTerminate();
  if (site.landingPad == 0) return _URC_CONTINUE_UNWIND;
  bool hasCleanup, isForced = (actions & _UA_FORCE_UNWIND) != 0;
  int64_t handler = findHandler(&data, &site, exception, &hasCleanup);
  if (isForced && handler != 0) handler = 0;
  if (actions & _UA_SEARCH_PHASE) return handler != 0 ? _URC_HANDLER_FOUND : _URC_CONTINUE_UNWIND;
  if (handler == 0 && !hasCleanup) return _URC_CONTINUE_UNWIND;
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), (_Unwind_Word)exception);
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(1), (_Unwind_Word)handler);
  _Unwind_SetIP(context, site.landingPad);
  return _URC_INSTALL_CONTEXT;
}

/* ---- handlers under way ------------------------------------------------------------------------------------------ */

/* An exception can be caught in a handler, hence a stack; one that is thrown again leaves it at its objc_end_catch. */
typedef struct Caught {
  struct _Unwind_Exception *exception;
  bool isRethrown;
} Caught;

static _Thread_local Caught caught[DeepestCatch];
static _Thread_local int caughtCount;

id exceptionBeginCatch(struct _Unwind_Exception *exception) {
  if (caughtCount == DeepestCatch) exceptionTerminate();
  caught[caughtCount++] = (Caught){exception, false};
  // Apple's runtime retains what is thrown and releases it when the handler ends.
  return [valueOf(exception) retain];
}

void exceptionEndCatch(void) {
  if (caughtCount == 0) exceptionTerminate();
  Caught *last = &caught[--caughtCount];
  [valueOf(last->exception) release];
  if (!last->isRethrown) _Unwind_DeleteException(last->exception);
}

void exceptionRethrow(void) {
  if (caughtCount == 0) exceptionTerminate();
  Caught *last = &caught[caughtCount - 1];
  last->isRethrown = true;
  _Unwind_Resume_or_Rethrow(last->exception);
  exceptionTerminate(); // nobody catches it
}

void exceptionThrow(id object) {
  objc_exception_throw(object);
}

void exceptionTerminate(void) {
  fprintf(stderr, "An exception left a function of the image that must not throw\n");
  abort();
}
