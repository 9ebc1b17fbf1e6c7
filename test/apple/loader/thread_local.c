#include "thread_local.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "macho.h"

enum { MostImages = 8, BlockAlignment = 64 };

/* What code in the image calls through. From Apple's <mach-o/loader.h>: struct tlv_descriptor. */
typedef struct Descriptor {
  void (*function)(void);
  uint64_t key, offset;
} Descriptor;

/* The initial values of an image's variables: those given, then zeroes. */
typedef struct Template {
  const uint8_t *given;
  uint64_t givenSize, size;
  pthread_key_t key; /* frees a thread's block at its end */
} Template;

static Template templates[MostImages];
static uint64_t templateCount;

/* Read by loaderThreadLocal, hence the fixed model: `mov loaderThreadBlocks@gottpoff`. */
__attribute__((tls_model("initial-exec"), visibility("hidden"))) _Thread_local void *loaderThreadBlocks[MostImages];

/* The keys are destroyed in any order; a variable that is used afterwards gets a fresh block, as on a Mac. */
static void freeBlock(void *block) {
  for (int i = 0; i < MostImages; i++)
    if (loaderThreadBlocks[i] == block) loaderThreadBlocks[i] = NULL;
  free(block);
}

/* Called by loaderThreadLocal where this thread has no block yet. */
__attribute__((visibility("hidden"))) void *loaderThreadBlock(uint64_t image) {
  const Template *template = &templates[image];
  uint64_t size = (template->size + BlockAlignment - 1) / BlockAlignment * BlockAlignment;
  uint8_t *block = aligned_alloc(BlockAlignment, size);
  if (!block) abort(); // code that reads a variable has no way to hear of it
  memcpy(block, template->given, template->givenSize);
  memset(block + template->givenSize, 0, size - template->givenSize);
  loaderThreadBlocks[image] = block;
  pthread_setspecific(template->key, block);
  return block;
}

void loaderThreadLocalUnprepared(void) {
  fprintf(stderr, "A thread-local variable was used before the image was ready\n");
  abort();
}

/* The sections of initial values follow each other: given ones first. Offsets count from the first one's start. */
static bool readTemplate(const Image *image, Template *template) {
  uint64_t start = UINT64_MAX, givenEnd = 0, end = 0;
  for (uint32_t i = 0; i < image->sectionCount; i++) {
    const Section *section = &image->sections[i];
    uint32_t type = section->flags & SECTION_TYPE;
    if (type != S_THREAD_LOCAL_REGULAR && type != S_THREAD_LOCAL_ZEROFILL) continue;
    if (section->address < start) start = section->address;
    uint64_t sectionEnd = section->address + section->size;
    if (type == S_THREAD_LOCAL_REGULAR && sectionEnd > givenEnd) givenEnd = sectionEnd;
    if (sectionEnd > end) end = sectionEnd;
  }
  if (end == 0 || end - start > 1 << 24)
    return loaderFail("The image's thread-local variables have no initial values");
  template->size = end - start;
  template->givenSize = givenEnd > start ? givenEnd - start : 0;
  template->given = imageAt(image, start, template->givenSize);
  if (!template->given) return loaderFail("The initial values of thread-local variables lie outside of the image");
  return true;
}

bool threadLocalsPrepare(const Image *image) {
  Bytes section = imageSectionBytes(image, "__thread_vars");
  if (section.size == 0) return true;
  if (templateCount == MostImages)
    return loaderFail("There are more than \"%d\" images with thread-locals", MostImages);
  Template *template = &templates[templateCount];
  if (!readTemplate(image, template)) return false;
  if (pthread_key_create(&template->key, freeBlock) != 0) return loaderFail("There is no key left for thread-locals");
  Descriptor *descriptors = (Descriptor *)(void *)section.start;
  for (uint64_t i = 0; i < section.size / sizeof *descriptors; i++) {
    if (descriptors[i].function != loaderThreadLocalUnprepared)
      return loaderFail("Thread-local variable \"%lu\" does not name _tlv_bootstrap", i);
    if (descriptors[i].offset >= template->size)
      return loaderFail("Thread-local variable \"%lu\" lies outside of the initial values", i);
    descriptors[i].function = loaderThreadLocal;
    descriptors[i].key = templateCount;
  }
  templateCount++;
  return true;
}
