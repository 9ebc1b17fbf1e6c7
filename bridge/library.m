#import "library.h"

#import "export.h"
#import "handle.h"
#import "number.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

@implementation BunMetalLibrary

/* Takes over the caller's references to `library` and `itsCache`. */
- (id)initWithLibrary:(id<MTLLibrary>)library device:(BunMetalDevice *)owner cache:(BunMetalShaderCache *)itsCache {
  self = [super init];
  if (!self) {
    [library release];
    [itsCache release];
    return nil;
  }
  metal = library;
  cache = itsCache;
  device = [owner retain];
  return self;
}

- (void)dealloc {
  [cache release];
  [metal release];
  [device release];
  [super dealloc];
}

@end

BunMetalLibrary *bridgeLibraryRetain(bm_handle handle) {
  return bridgeHandleRetain(handle, BM_KIND_LIBRARY);
}

bm_handle bridgeLibraryHandle(BunMetalDevice *device, id<MTLLibrary> library, BunMetalShaderCache *cache) {
  BunMetalLibrary *object = [[BunMetalLibrary alloc] initWithLibrary:library device:device cache:cache];
  if (!object) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a library object");
    return 0;
  }
  return bridgeHandleNew(object, BM_KIND_LIBRARY);
}

MTLCompileOptions *bridgeStrictCompileOptions(void) {
  MTLCompileOptions *options = [[MTLCompileOptions alloc] init];
  if ([options respondsToSelector:@selector(setMathMode:)]) {
    [options setMathMode:MTLMathModeSafe];
    [options setMathFloatingPointFunctions:MTLMathFloatingPointFunctionsPrecise];
  } else {
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
    [options setFastMathEnabled:NO];
#pragma clang diagnostic pop
  }
  return options;
}

/* The source below a line directive: Metal has no other way to say what its messages should call it. +1. */
static NSString *newNamedSource(const char *source, uint64_t length, const char *name) {
  NSString *text = [[NSString alloc] initWithBytes:source length:length encoding:NSUTF8StringEncoding];
  if (!text || !name || !*name) return text;
  NSMutableString *named = [[NSMutableString alloc] init];
  [named appendString:@"#line 1 \""];
  for (const char *c = name; *c; c++) {
    // What would end or break the string of the directive; UTF-8 bytes pass in the second branch's whole runs.
    size_t plain = strcspn(c, "\"\\\r\n");
    if (plain == 0) {
      [named appendString:@"_"];
      continue;
    }
    NSString *run = [[NSString alloc] initWithBytes:c length:plain encoding:NSUTF8StringEncoding];
    if (run) [named appendString:run];
    [run release];
    c += plain - 1;
  }
  [named appendString:@"\"\n"];
  [named appendString:text];
  [text release];
  return named;
}

bm_status bridgeLibraryStatus(NSError *error, bm_status otherwise) {
  if (![[error domain] isEqualToString:MTLLibraryErrorDomain]) return otherwise;
  switch ([error code]) {
    case MTLLibraryErrorUnsupported: return BM_ERROR_UNSUPPORTED;
    case MTLLibraryErrorFileNotFound: return BM_ERROR_NOT_FOUND;
    case MTLLibraryErrorCompileFailure: return BM_ERROR_COMPILE;
    default: return otherwise;
  }
}

bm_handle bm_library_from_source(bm_handle handle, const char *source, double length, const char *name) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  uint64_t bytes;
  if (!bridgeReadSize(length, "length of shader source", &bytes)) return 0;
  if (!source) {
    bridgeFail(BM_ERROR_ARGUMENT, "The shader source is NULL");
    return 0;
  }
  BRIDGE_PINNED(NSString) text = newNamedSource(source, bytes, name);
  if (!text) {
    bridgeFail(BM_ERROR_ARGUMENT, "The shader source is not UTF-8");
    return 0;
  }
  BRIDGE_PINNED(MTLCompileOptions) options = bridgeStrictCompileOptions();
  NSError *error = nil;
  id<MTLLibrary> library = [device->metal newLibraryWithSource:text options:options error:&error];
  if (!library) {
    bridgeFail(bridgeLibraryStatus(error, BM_ERROR_COMPILE), "%s", bridgeErrorText(error));
    return 0;
  }
  return bridgeLibraryHandle(device, library, nil);
  BRIDGE_LEAVE(0)
}

bm_handle bm_library_from_file(bm_handle handle, const char *path) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  NSString *text = path ? [NSString stringWithUTF8String:path] : nil;
  if (!text) {
    bridgeFail(BM_ERROR_ARGUMENT, "The path of a shader library is %s", path ? "not UTF-8" : "NULL");
    return 0;
  }
  struct stat information;
  if (stat(path, &information) != 0) {
    bridgeFail(BM_ERROR_NOT_FOUND, "Shader library \"%s\" cannot be opened: %s", path, strerror(errno));
    return 0;
  }
  if (!S_ISREG(information.st_mode)) {
    bridgeFail(BM_ERROR_ARGUMENT, "Shader library \"%s\" is not a regular file", path);
    return 0;
  }
  NSError *error = nil;
  id<MTLLibrary> library = [device->metal newLibraryWithURL:[NSURL fileURLWithPath:text] error:&error];
  if (!library) {
    bridgeFail(bridgeLibraryStatus(error, BM_ERROR_ARGUMENT), "Shader library \"%s\" cannot be loaded: %s", path,
               bridgeErrorText(error));
    return 0;
  }
  return bridgeLibraryHandle(device, library, nil);
  BRIDGE_LEAVE(0)
}

uint32_t bm_library_functions(bm_handle handle, char *out, uint32_t capacity) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalLibrary) library = bridgeLibraryRetain(handle);
  if (!library) return 0;
  const char *names = [[[library->metal functionNames] componentsJoinedByString:@"\n"] UTF8String];
  if (!names) names = "";
  return bridgeCopyText(names, strlen(names), out, capacity);
  BRIDGE_LEAVE(0)
}
