/*
 * shaders.m: the shaders that ship, in the first form that the device takes: compiled, as a part of the native library or
 * in a file beside it, or as source, which is always a part of it.
 */
#import "library.h"

#import "export.h"
#import "handle.h"
#include "model/digest.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

/* Apple's alone. */
struct mach_header_64;
extern uint8_t *getsectiondata(const struct mach_header_64 *image, const char *segment, const char *section,
                               unsigned long *length) __attribute__((weak));

/* The source of all shaders; scripts/shader_source.sh joins shaders/ to one text. */
static const char shaderSource[] =
#include "../build/embedded/shader_source.inc"
    ;

/* Writes the path of a file beside the native library. False where the library's own place is not known. */
static bool pathBeside(const char *file, char *path, size_t capacity) {
  Dl_info image;
  if (!dladdr(shaderSource, &image) || !image.dli_fname) return false;
  const char *slash = strrchr(image.dli_fname, '/');
  int directory = slash ? (int)(slash - image.dli_fname) + 1 : 0;
  int length = snprintf(path, capacity, "%.*s%s", directory, image.dli_fname, file);
  return length > 0 && (size_t)length < capacity;
}

/* The library in a file beside the native library; nil where there is none, or it is not for this device. +1. */
static id<MTLLibrary> newLibraryBeside(id<MTLDevice> device, const char *file) {
  char path[4096];
  struct stat information;
  if (!pathBeside(file, path, sizeof path) || stat(path, &information) != 0 || !S_ISREG(information.st_mode))
    return nil;
  NSString *text = [NSString stringWithUTF8String:path];
  return text ? [device newLibraryWithURL:[NSURL fileURLWithPath:text] error:NULL] : nil;
}

/* Compiled code for the CPU is one file for each instruction level, or one for all. What follows a '+' is about kernels that
 * are no shaders. That for CUDA devices is the same for machines of every kind, whose directories are beside it. +1. */
static id<MTLLibrary> newCompiledLibrary(id<MTLDevice> device) {
  id<MTLLibrary> library = newLibraryBeside(device, "shaders.metallib");
  if (library || ![device respondsToSelector:@selector(architecture)]) return library;
  const char *architecture = [[[device architecture] name] UTF8String];
  if (architecture && strncmp(architecture, "cuda-", 5) == 0) return newLibraryBeside(device, "../cuda/shaders.metallib");
  if (!architecture || strncmp(architecture, "cpu-", 4) != 0) return nil;
  const char *level = strncmp(architecture, "cpu-armv8", 9) == 0 ? "aarch64" : architecture + 4;
  char file[64];
  snprintf(file, sizeof file, "shaders-%.*s.metallib", (int)strcspn(level, "+"), level);
  return newLibraryBeside(device, file);
}

/* nil with the error set. +1. */
static id<MTLLibrary> newLibraryFromSource(BunMetalDevice *device) {
  BRIDGE_PINNED(MTLCompileOptions) options = bridgeStrictCompileOptions();
  [options setLanguageVersion:device->policy.language];
  NSString *source = [NSString stringWithUTF8String:shaderSource];
  NSError *error = nil;
  id<MTLLibrary> library = [device->metal newLibraryWithSource:source options:options error:&error];
  if (!library)
    bridgeFail(bridgeLibraryStatus(error, BM_ERROR_COMPILE), "The shaders that ship do not compile: %s",
               bridgeErrorText(error));
  return library;
}

/* The compiled library that is a section of the image that this code is in: where it was linked on a Mac. The bytes live
 * as long as the image. +1. */
static id<MTLLibrary> newEmbeddedLibrary(id<MTLDevice> device) {
  Dl_info image;
  unsigned long length = 0;
  if (!getsectiondata || !dladdr(shaderSource, &image) || !image.dli_fbase) return nil;
  const uint8_t *bytes = getsectiondata(image.dli_fbase, "__DATA", "__bm_metallib", &length);
  if (!bytes || length == 0) return nil;
  dispatch_data_t data = dispatch_data_create(bytes, length, NULL, DISPATCH_DATA_DESTRUCTOR_DEFAULT);
  id<MTLLibrary> library = data ? [device newLibraryWithData:data error:NULL] : nil;
  [(id)data release];
  return library;
}

bm_handle bm_library_shaders(bm_handle handle) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  id<MTLLibrary> library = newEmbeddedLibrary(device->metal);
  if (!library) library = newCompiledLibrary(device->metal);
  if (!library) library = newLibraryFromSource(device);
  return library ? bridgeLibraryHandle(device, library, bridgeShaderCacheOpen(device, shaderSource)) : 0;
  BRIDGE_LEAVE(0)
}

/* Sends no message, so it needs neither a pool nor a barrier. */
uint32_t bm_shaders_digest(char *out, uint32_t capacity) {
  enum { Bytes = 32 };
  uint8_t digest[Bytes];
  Digest sum;
  bridgeDigestBegin(&sum);
  bridgeDigestAdd(&sum, (const uint8_t *)shaderSource, sizeof shaderSource - 1);
  bridgeDigestEnd(&sum, digest);
  char text[2 * Bytes + 1];
  for (int i = 0; i < Bytes; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return bridgeCopyText(text, 2 * Bytes, out, capacity);
}
