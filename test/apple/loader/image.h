/*
 * image.h: the slice of a Mach-O dynamic library for this processor in this process's memory.
 *
 * imageMap checks every size and offset that it reads against the file. Segments lie at a slid address, writable until
 * imageProtect gives them the protections that the file asks for.
 */
#ifndef LOADER_IMAGE_H
#define LOADER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MostSegments = 16, MostSections = 64, MostLibraries = 32 };

typedef struct Segment {
  char name[17];
  uint64_t address, size; /* as the file says, before the slide */
  uint64_t fileOffset, fileSize; /* in the slice */
  uint32_t protection, flags;
} Segment;

typedef struct Section {
  char segment[17], name[17];
  uint64_t address, size; /* before the slide */
  uint32_t flags;
} Section;

/** A library that the image needs; ordinal n of an import means libraries[n - 1]. */
typedef struct NeededLibrary {
  const char *installName;
  uint32_t compatibilityVersion; /* as 0xMMMMmmpp */
  bool isWeak;
} NeededLibrary;

/** A range of the slice, in memory. */
typedef struct Bytes {
  const uint8_t *start;
  uint64_t size;
} Bytes;

typedef struct Image {
  const char *path;
  const uint8_t *slice; /* the slice as it is in the file, read-only */
  uint64_t sliceSize;
  uint8_t *base;           /* where its Mach-O header is mapped */
  uint64_t address, size;  /* of all segments, before the slide */
  Segment segments[MostSegments];
  uint32_t segmentCount;
  Section sections[MostSections];
  uint32_t sectionCount;
  NeededLibrary libraries[MostLibraries];
  uint32_t libraryCount;
  const char *installName;
  uint32_t platform, minimumSystem; /* the version as 0xMMMMmmpp */
  Bytes fixups, exports; /* empty where the image has none */
} Image;

/** Maps the file's slice. False with the reason in loaderFailure(); the image stays mapped for the process's life. */
bool imageMap(Image *image, const char *path);

/** Gives every segment its protection; nothing can be fixed up afterwards. */
bool imageProtect(const Image *image);

/** Where an address of the file is now; NULL where [address, address + size) is not inside one segment. */
void *imageAt(const Image *image, uint64_t address, uint64_t size);

/** Whether [pointer, pointer + size) lies inside of the mapped image. */
bool imageHolds(const Image *image, const void *pointer, uint64_t size);

/** The section, or NULL. */
const Section *imageSection(const Image *image, const char *segment, const char *name);

/** The section of that name in whichever segment; its contents in memory, empty where there is none. */
Bytes imageSectionBytes(const Image *image, const char *name);

/** The text at `pointer` if it ends inside the image, else NULL. */
const char *imageText(const Image *image, const void *pointer);

#endif
