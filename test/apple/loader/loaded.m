#import "objc_runtime.h"

#include "loaded.h"

#include <stdio.h>
#include <string.h>

#include "exceptions.h"
#include "exports.h"
#include "failure.h"
#include "fixups.h"
#include "library.h"
#include "macho.h"
#include "thread_local.h"
#include "unwind.h"

enum { MostImages = 8 };

static struct {
  Image image;
  uint32_t functions;
} loaded[MostImages];
static uint32_t loadedCount;

/* C constructors: by pointer, which the fixups have made right, or by offset from the header. */
static bool runInitialisers(const Image *image) {
  for (uint32_t i = 0; i < image->sectionCount; i++) {
    const Section *section = &image->sections[i];
    uint32_t type = section->flags & SECTION_TYPE;
    const uint8_t *entries = imageAt(image, section->address, section->size);
    uint64_t size = type == S_MOD_INIT_FUNC_POINTERS ? 8 : type == S_INIT_FUNC_OFFSETS ? 4 : 0;
    for (uint64_t at = 0; size > 0 && at + size <= section->size; at += size) {
      uint64_t value = 0;
      memcpy(&value, entries + at, size);
      void (*initialise)(void) = (void (*)(void))(size == 8 ? value : (uint64_t)image->base + value);
      if (!imageHolds(image, (void *)initialise, 1))
        return loaderFail("An initialiser in section \"%s\" lies outside of the image", section->name);
      initialise();
    }
  }
  return true;
}

const Image *prepareImage(const char *path) {
  if (loadedCount == MostImages) {
    loaderFail("There are more than \"%d\" images", MostImages);
    return NULL;
  }
  exceptionsPrepare();
  Image *image = &loaded[loadedCount].image;
  bool isReady = imageMap(image, path) && libraryCheckAll(image) && imageFixUp(image) && objcPrepare(image) &&
                 threadLocalsPrepare(image) && unwindRegister(image, &loaded[loadedCount].functions) &&
                 imageProtect(image);
  if (!isReady) return NULL;
  loadedCount++;
  return image;
}

const Image *loadImage(const char *path) {
  const Image *image = prepareImage(path);
  return image && runInitialisers(image) ? image : NULL;
}

uint32_t loadedFunctions(const Image *image) {
  for (uint32_t i = 0; i < loadedCount; i++)
    if (&loaded[i].image == image) return loaded[i].functions;
  return 0;
}

void *loadedSymbol(void *handle, const char *name) {
  (void)handle; // RTLD_DEFAULT and the handles of system libraries: all of them are searched
  char symbol[256];
  snprintf(symbol, sizeof symbol, "_%s", name);
  void *address = libraryFind(symbol);
  for (uint32_t i = 0; i < loadedCount && !address; i++) address = imageExport(&loaded[i].image, symbol);
  return address;
}

const void *loadedSection(const void *header, const char *segment, const char *name, unsigned long *size) {
  for (uint32_t i = 0; i < loadedCount; i++) {
    const Image *image = &loaded[i].image;
    const Section *section = image->base == header ? imageSection(image, segment, name) : NULL;
    if (!section) continue;
    *size = section->size;
    return imageAt(image, section->address, section->size);
  }
  return NULL;
}

int loadedAddress(const void *address, LoadedInformation *out) {
  for (uint32_t i = 0; i < loadedCount; i++) {
    const Image *image = &loaded[i].image;
    if (!imageHolds(image, address, 1)) continue;
    *out = (LoadedInformation){.path = image->path, .base = image->base};
    return 1;
  }
  return 0;
}
