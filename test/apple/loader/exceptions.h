/*
 * exceptions.h: how Objective-C exceptions pass through an image's frames. The exceptions themselves are those of GCC's
 * runtime, which the Metal layer throws; what the image's tables say about them is in Apple's format.
 */
#ifndef LOADER_EXCEPTIONS_H
#define LOADER_EXCEPTIONS_H

#import <Foundation/Foundation.h>

#include <unwind.h>

/** What a handler's entry in the type table points to. */
typedef struct ExceptionType {
  const void *const *table;
  const char *name;
  const void *cls; /* a class of the image or of this process */
} ExceptionType;

/** `objc_ehtype_vtable`, which the types that a compiler emits refer to. */
extern void *exceptionTypeTable[4];
/** `OBJC_EHTYPE_id`: any object. */
extern ExceptionType exceptionTypeId;
/** `OBJC_EHTYPE_$_NSException`; its class is filled in by exceptionsPrepare. */
extern ExceptionType exceptionTypeNSException;

/** Fills in what cannot be known at compile time. */
void exceptionsPrepare(void);

/** `__objc_personality_v0`. */
_Unwind_Reason_Code exceptionPersonality(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                         struct _Unwind_Exception *exception, struct _Unwind_Context *context);

/** `objc_begin_catch`: the object of an exception that a handler received; nil for one of another language. */
id exceptionBeginCatch(struct _Unwind_Exception *exception);

/** `objc_end_catch`: the handler is left; the exception goes, unless it was thrown again. */
void exceptionEndCatch(void);

/** `objc_exception_rethrow`: throws what the innermost handler received once more. */
void exceptionRethrow(void) __attribute__((noreturn));

/** `objc_exception_throw`. */
void exceptionThrow(id object) __attribute__((noreturn));

/** `objc_terminate`: an exception left what must not throw. */
void exceptionTerminate(void) __attribute__((noreturn));

#endif
