#include "image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "macho.h"

/* This process's. A Mac's with arm64 are four times as large, which its files are laid out for. */
enum { PageSize = 4096 };

/* The slice that this process can run. */
#if defined(__x86_64__)
enum { OwnProcessor = CPU_TYPE_X86_64 };
static const char ownName[] = "x86_64";
#else
enum { OwnProcessor = CPU_TYPE_ARM64 };
static const char ownName[] = "arm64";
#endif

static uint64_t roundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/* Whether [offset, offset + size) lies inside `limit` bytes, for any numbers. */
static bool fits(uint64_t offset, uint64_t size, uint64_t limit) {
  return size <= limit && offset <= limit - size;
}

/* ---- the file and its slice -------------------------------------------------------------------------------------- */

/* Finds the slice in the file's bytes; a file that is not fat is its own slice. */
static bool findSlice(Image *image, Bytes file, uint64_t *offset) {
  if (file.size < sizeof(mach_header_64))
    return loaderFail("\"%s\" has only \"%lu\" bytes, less than a Mach-O header", image->path, file.size);
  const uint32_t *header = (const uint32_t *)(const void *)file.start;
  *offset = 0;
  image->sliceSize = file.size;
  if (be32toh(header[0]) == FAT_MAGIC) {
    uint32_t count = be32toh(header[1]);
    if (count > (file.size - 8) / sizeof(fat_arch))
      return loaderFail("The fat header of \"%s\" lists \"%u\" slices, more than the file holds", image->path, count);
    const fat_arch *slices = (const fat_arch *)(const void *)(file.start + 8), *found = NULL;
    for (uint32_t i = 0; i < count && !found; i++)
      if (be32toh(slices[i].cputype) == OwnProcessor) found = &slices[i];
    if (!found) return loaderFail("\"%s\" has no slice for %s", image->path, ownName);
    *offset = be32toh(found->offset);
    image->sliceSize = be32toh(found->size);
    if (!fits(*offset, image->sliceSize, file.size) || image->sliceSize < sizeof(mach_header_64))
      return loaderFail("The %s slice, \"%lu\" bytes at \"%lu\", reaches beyond the \"%lu\" bytes of \"%s\"",
                        ownName, image->sliceSize, *offset, file.size, image->path);
    if (*offset % PageSize != 0)
      return loaderFail("The %s slice starts at \"%lu\", which is no multiple of a page", ownName, *offset);
  }
  image->slice = file.start + *offset;
  return true;
}

static bool checkHeader(const Image *image) {
  const mach_header_64 *header = (const mach_header_64 *)(const void *)image->slice;
  if (header->magic != MH_MAGIC_64)
    return loaderFail("\"%s\" is no Mach-O file: it starts with \"0x%08x\"", image->path, header->magic);
  if (header->cputype != OwnProcessor)
    return loaderFail("\"%s\" is for processor type \"0x%08x\", not %s", image->path, header->cputype,
                      ownName);
  if (header->filetype != MH_DYLIB)
    return loaderFail("\"%s\" is Mach-O of file type \"%u\", not a dynamic library", image->path, header->filetype);
  if (!(header->flags & MH_TWOLEVEL)) return loaderFail("\"%s\" has no two-level namespace", image->path);
  if (!fits(sizeof *header, header->sizeofcmds, image->sliceSize))
    return loaderFail("The load commands of \"%s\", \"%u\" bytes, reach beyond the file", image->path,
                      header->sizeofcmds);
  return true;
}

/* ---- load commands ----------------------------------------------------------------------------------------------- */

static bool readSections(Image *image, const segment_command_64 *command, const Segment *segment) {
  if (command->nsects > (command->cmdsize - sizeof *command) / sizeof(section_64) ||
      command->nsects > MostSections - image->sectionCount)
    return loaderFail("Segment \"%s\" has \"%u\" sections, more than its load command holds", segment->name,
                      command->nsects);
  const section_64 *sections = (const section_64 *)(const void *)(command + 1);
  for (uint32_t i = 0; i < command->nsects; i++) {
    Section *section = &image->sections[image->sectionCount++];
    memcpy(section->segment, sections[i].segname, 16);
    memcpy(section->name, sections[i].sectname, 16);
    section->address = sections[i].addr;
    section->size = sections[i].size;
    section->flags = sections[i].flags;
    // What is not mapped has no memory to lie in: a thread-local's zeroes are made for each thread.
    bool isThreadZero = (section->flags & SECTION_TYPE) == S_THREAD_LOCAL_ZEROFILL;
    if (!isThreadZero && (section->address < segment->address ||
                          !fits(section->address - segment->address, section->size, segment->size)))
      return loaderFail("Section \"%s,%s\" reaches beyond its segment", section->segment, section->name);
  }
  return true;
}

static bool readSegment(Image *image, const segment_command_64 *command) {
  if (command->cmdsize < sizeof *command || image->segmentCount == MostSegments)
    return loaderFail("Load command for segment \"%u\" is malformed", image->segmentCount);
  Segment *segment = &image->segments[image->segmentCount++];
  memcpy(segment->name, command->segname, 16);
  segment->address = command->vmaddr;
  segment->size = command->vmsize;
  segment->fileOffset = command->fileoff;
  segment->fileSize = command->filesize;
  segment->protection = command->initprot;
  segment->flags = command->flags;
  if (!fits(segment->fileOffset, segment->fileSize, image->sliceSize))
    return loaderFail("Segment \"%s\", \"%lu\" bytes at \"%lu\", reaches beyond the slice of \"%lu\" bytes: "
                      "the file is cut",
                      segment->name, segment->fileSize, segment->fileOffset, image->sliceSize);
  bool isAligned = segment->address % PageSize == 0 && segment->fileOffset % PageSize == 0;
  bool isOrdered = image->segmentCount == 1 ||
                   (segment->address >= segment[-1].address &&
                    segment->address - segment[-1].address >= roundUp(segment[-1].size, PageSize));
  if (!isAligned || !isOrdered || segment->fileSize > segment->size || segment->size > 1ul << 32 ||
      segment->address > 1ul << 40)
    return loaderFail("Segment \"%s\" cannot be mapped: \"%lu\" bytes of the file at \"0x%lx\", \"%lu\" in memory",
                      segment->name, segment->fileSize, segment->address, segment->size);
  if ((segment->protection & VM_PROT_WRITE) && (segment->protection & VM_PROT_EXECUTE))
    return loaderFail("Segment \"%s\" is both writable and executable", segment->name);
  return readSections(image, command, segment);
}

/* The NUL-ended text that a load command carries at `offset`; NULL where it has none. */
static const char *commandText(const load_command *command, uint32_t offset) {
  if (offset >= command->cmdsize) return NULL;
  const char *text = (const char *)(const void *)command + offset;
  return memchr(text, 0, command->cmdsize - offset) ? text : NULL;
}

static bool readLibrary(Image *image, const dylib_command *command) {
  const char *name = commandText((const load_command *)(const void *)command, command->name);
  if (command->cmdsize < sizeof *command || !name || image->libraryCount == MostLibraries)
    return loaderFail("Load command for library \"%u\" is malformed", image->libraryCount);
  if (command->cmd == LC_ID_DYLIB)
    image->installName = name;
  else
    image->libraries[image->libraryCount++] =
        (NeededLibrary){name, command->compatibility_version, command->cmd == LC_LOAD_WEAK_DYLIB};
  return true;
}

static bool readBytes(const Image *image, const linkedit_data_command *command, Bytes *bytes) {
  if (command->cmdsize < sizeof *command || !fits(command->dataoff, command->datasize, image->sliceSize))
    return loaderFail("The data of load command \"0x%x\" reaches beyond the file", command->cmd);
  *bytes = (Bytes){image->slice + command->dataoff, command->datasize};
  return true;
}

static bool readVersion(Image *image, const build_version_command *command) {
  if (command->cmdsize < sizeof *command) return loaderFail("The load command for the platform is malformed");
  const uint32_t known[] = {PLATFORM_MACOS, PLATFORM_IOS, PLATFORM_TVOS, PLATFORM_IOSSIMULATOR, PLATFORM_TVOSSIMULATOR};
  bool isKnown = false;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) isKnown |= known[i] == command->platform;
  if (!isKnown) return loaderFail("\"%s\" is for platform \"%u\", which is not known", image->path, command->platform);
  image->platform = command->platform;
  image->minimumSystem = command->minos;
  return true;
}

/* Room that iOS leaves for the store to encrypt; nothing has. */
static bool checkEncryption(const Image *image, const encryption_info_command_64 *command) {
  if (command->cmdsize >= sizeof *command && command->cryptid == 0) return true;
  return loaderFail("\"%s\" is encrypted", image->path);
}

static bool readCommand(Image *image, const load_command *command) {
  const void *any = command;
  switch (command->cmd) {
    case LC_SEGMENT_64: return readSegment(image, any);
    case LC_ID_DYLIB:
    case LC_LOAD_DYLIB:
    case LC_LOAD_WEAK_DYLIB: return readLibrary(image, any);
    case LC_BUILD_VERSION: return readVersion(image, any);
    case LC_DYLD_CHAINED_FIXUPS: return readBytes(image, any, &image->fixups);
    case LC_DYLD_EXPORTS_TRIE: return readBytes(image, any, &image->exports);
    case LC_ENCRYPTION_INFO_64: return checkEncryption(image, any);
    case LC_SYMTAB:
    case LC_DYSYMTAB:
    case LC_UUID:
    case LC_CODE_SIGNATURE:
    case LC_FUNCTION_STARTS:
    case LC_DATA_IN_CODE:
    case LC_SOURCE_VERSION: return true;
    default: return loaderFail("Load command \"0x%x\" is not known to this loader", command->cmd);
  }
}

static bool readCommands(Image *image) {
  const mach_header_64 *header = (const mach_header_64 *)(const void *)image->slice;
  uint64_t offset = 0;
  for (uint32_t i = 0; i < header->ncmds; i++) {
    const load_command *command = (const load_command *)(const void *)(image->slice + sizeof *header + offset);
    if (!fits(offset, sizeof *command, header->sizeofcmds) || command->cmdsize < sizeof *command ||
        command->cmdsize % 8 != 0 || !fits(offset, command->cmdsize, header->sizeofcmds))
      return loaderFail("Load command \"%u\" of \"%u\" reaches beyond the others", i, header->ncmds);
    if (!readCommand(image, command)) return false;
    offset += command->cmdsize;
  }
  if (image->segmentCount == 0 || image->segments[0].fileOffset != 0 ||
      image->segments[0].fileSize < sizeof *header + header->sizeofcmds)
    return loaderFail("The first segment of \"%s\" does not hold the Mach-O header", image->path);
  if (!image->installName) return loaderFail("\"%s\" has no install name", image->path);
  if (!image->minimumSystem) return loaderFail("\"%s\" does not say which platform it is for", image->path);
  return true;
}

/* ---- mapping ----------------------------------------------------------------------------------------------------- */

static bool mapSegments(Image *image, int file, uint64_t sliceOffset) {
  const Segment *last = &image->segments[image->segmentCount - 1];
  image->address = image->segments[0].address;
  image->size = roundUp(last->address + last->size - image->address, PageSize);
  image->base = mmap(NULL, image->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (image->base == MAP_FAILED) return loaderFail("There is no room for \"%lu\" bytes of image", image->size);
  for (uint32_t i = 0; i < image->segmentCount; i++) {
    const Segment *segment = &image->segments[i];
    uint8_t *start = image->base + (segment->address - image->address);
    uint64_t size = roundUp(segment->size, PageSize), fromFile = roundUp(segment->fileSize, PageSize);
    if (fromFile > 0 && mmap(start, fromFile, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file,
                             (off_t)(sliceOffset + segment->fileOffset)) == MAP_FAILED)
      return loaderFail("Segment \"%s\" cannot be mapped: %s", segment->name, strerror(errno));
    if (size > fromFile && mmap(start + fromFile, size - fromFile, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
      return loaderFail("Segment \"%s\" cannot be extended: %s", segment->name, strerror(errno));
    // The file goes on behind what the segment takes of it, in a page that the segment shares.
    if (segment->fileSize < fromFile && (segment->protection & VM_PROT_WRITE))
      memset(start + segment->fileSize, 0, fromFile - segment->fileSize);
  }
  return true;
}

bool imageMap(Image *image, const char *path) {
  *image = (Image){.path = path};
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return loaderFail("\"%s\" cannot be opened: %s", path, strerror(errno));
  struct stat information;
  bool isFile = fstat(file, &information) == 0 && S_ISREG(information.st_mode) && information.st_size > 0;
  Bytes bytes = {.size = isFile ? (uint64_t)information.st_size : 0};
  if (isFile) bytes.start = mmap(NULL, bytes.size, PROT_READ, MAP_PRIVATE, file, 0);
  bool isMapped = isFile && bytes.start != MAP_FAILED;
  uint64_t sliceOffset = 0;
  bool isDone = isMapped && findSlice(image, bytes, &sliceOffset) && checkHeader(image) && readCommands(image) &&
                mapSegments(image, file, sliceOffset);
  if (!isMapped) loaderFail("\"%s\" cannot be mapped: it has to be a file that is not empty", path);
  close(file);
  return isDone;
}

bool imageProtect(const Image *image) {
  for (uint32_t i = 0; i < image->segmentCount; i++) {
    const Segment *segment = &image->segments[i];
    bool isReadOnly = (segment->flags & SG_READ_ONLY) != 0;
    int protection = (segment->protection & VM_PROT_READ ? PROT_READ : 0) |
                     (segment->protection & VM_PROT_WRITE && !isReadOnly ? PROT_WRITE : 0) |
                     (segment->protection & VM_PROT_EXECUTE ? PROT_EXEC : 0);
    uint8_t *start = image->base + (segment->address - image->address);
    if (mprotect(start, roundUp(segment->size, PageSize), protection) != 0)
      return loaderFail("Segment \"%s\" cannot be protected: %s", segment->name, strerror(errno));
  }
  return true;
}

/* ---- looking into it --------------------------------------------------------------------------------------------- */

void *imageAt(const Image *image, uint64_t address, uint64_t size) {
  for (uint32_t i = 0; i < image->segmentCount; i++) {
    const Segment *segment = &image->segments[i];
    if (address >= segment->address && fits(address - segment->address, size, segment->size))
      return image->base + (address - image->address);
  }
  return NULL;
}

bool imageHolds(const Image *image, const void *pointer, uint64_t size) {
  uintptr_t start = (uintptr_t)image->base, at = (uintptr_t)pointer;
  return at >= start && imageAt(image, at - start + image->address, size) != NULL;
}

const Section *imageSection(const Image *image, const char *segment, const char *name) {
  for (uint32_t i = 0; i < image->sectionCount; i++) {
    const Section *section = &image->sections[i];
    if (strcmp(section->name, name) == 0 && (!segment || strcmp(section->segment, segment) == 0)) return section;
  }
  return NULL;
}

Bytes imageSectionBytes(const Image *image, const char *name) {
  const Section *section = imageSection(image, NULL, name);
  if (!section) return (Bytes){0};
  return (Bytes){imageAt(image, section->address, section->size), section->size};
}

const char *imageText(const Image *image, const void *pointer) {
  uintptr_t at = (uintptr_t)pointer - (uintptr_t)image->base;
  for (uint32_t i = 0; i < image->segmentCount; i++) {
    const Segment *segment = &image->segments[i];
    uint64_t start = segment->address - image->address;
    if (at >= start && at - start < segment->size)
      return memchr(pointer, 0, segment->size - (at - start)) ? pointer : NULL;
  }
  return NULL;
}
