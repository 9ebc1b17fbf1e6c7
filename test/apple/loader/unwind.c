#include "unwind.h"

#include <stdlib.h>
#include <string.h>

#include "compact_frames.h"
#include "failure.h"
#include "frame_writer.h"

/* libgcc. */
extern void __register_frame(void *start);

typedef struct Registration {
  const Image *image;
  FrameWriter frames;
  uint32_t functions;
} Registration;

/* The personality's address, from the pointer that the image keeps to it. */
static bool readPersonality(const Image *image, uint32_t pointerOffset, uint64_t *personality) {
  *personality = 0;
  if (pointerOffset == 0) return true;
  const uint64_t *pointer = imageAt(image, image->address + pointerOffset, sizeof *pointer);
  if (!pointer || *pointer == 0) return loaderFail("A personality function lies outside of the image");
  *personality = *pointer;
  return true;
}

static bool addFunction(void *context, const CompactFunction *function) {
  Registration *registration = context;
  const Image *image = registration->image;
  FrameWriter *frames = &registration->frames;
  uint64_t start = (uint64_t)image->base + function->start, personality;
  uint64_t table = function->tableOffset ? (uint64_t)image->base + function->tableOffset : 0;
  if (!imageHolds(image, (const void *)start, function->size) ||
      (table && !imageHolds(image, (const void *)table, 1)) ||
      !readPersonality(image, function->personalityOffset, &personality))
    return loaderFail("The unwind information of the function at \"0x%x\" is malformed", function->start);
  if ((function->encoding & CompactModeMask) == 0) return true; // nothing throws through it
  registration->functions++;
  if ((function->encoding & CompactModeMask) == CompactModeDwarf)
    return frameCopyDwarf(frames, image, function->encoding & 0xFFFFFF) ||
           loaderFail("The entry in __eh_frame of the function at \"0x%x\" is malformed", function->start);
  frameBegin(frames, start, function->size, personality, table);
  bool isKnown = compactWriteFrame(frames, function, (const uint8_t *)start);
  frameEnd(frames);
  return isKnown || loaderFail("The function at \"0x%x\" has unwind encoding \"0x%08x\", which is not known",
                               function->start, function->encoding);
}

bool unwindRegister(const Image *image, uint32_t *functions) {
  Registration registration = {.image = image};
  *functions = 0;
  if (!compactVisit(image, addFunction, &registration)) return false;
  *functions = registration.functions;
  void *start = frameFinish(&registration.frames);
  if (!start) return loaderFail("There is no memory left for unwind information");
  __register_frame(start);
  return true;
}
