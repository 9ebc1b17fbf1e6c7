#include "plan_file.h"

#include "digest.h"
#include "error.h"
#include "number.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where absurd ends: what is allocated for a count is bounded by these, whatever the file says. */
enum {
  MostFileBytes = 1 << 28,
  MostTokens = 1 << 24,
  MostContext = 1 << 24,
  MostRows = 1 << 16,
  MostKernels = 1 << 12,
  MostBuffers = 1 << 16,
  MostPrograms = 16,
  MostNameBytes = 1024,
  WordsOfProgram = 13 /* that come before a step's lists */
};

static bm_status refuse(const char *what) {
  return bridgeFail(BM_ERROR_ARGUMENT, "The plan is damaged: %s; export the model again", what);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* Opens a regular file. -1 with the error set. */
static int openFile(const char *path, const char *what, uint64_t *length) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat information;
  if (file < 0 || fstat(file, &information) != 0) {
    bm_status status = errno == ENOENT || errno == ENOTDIR ? BM_ERROR_NOT_FOUND : BM_ERROR_ARGUMENT;
    bridgeFail(status, "The %s cannot be opened: %s", what, strerror(errno));
  } else if (!S_ISREG(information.st_mode)) {
    bridgeFail(BM_ERROR_ARGUMENT, "The %s is not a regular file", what);
  } else {
    *length = (uint64_t)information.st_size;
    return file;
  }
  if (file >= 0) close(file);
  return -1;
}

static bm_status readWhole(int file, uint8_t *bytes, uint64_t length) {
  for (uint64_t at = 0; at < length;) {
    ssize_t count = read(file, bytes + at, length - at);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      return bridgeFail(BM_ERROR_ARGUMENT, "The file cannot be read: %s",
                        count < 0 ? strerror(errno) : "it became shorter meanwhile");
    at += (uint64_t)count;
  }
  return BM_OK;
}

/* The file as it is now: a copy, so that nobody can change what has been checked. */
static bm_status readCopy(const char *path, PlanFile *plan) {
  int file = openFile(path, "plan", &plan->length);
  if (file < 0) return bm_error_code();
  bm_status status = BM_OK;
  if (plan->length < PLAN_HEADER_BYTES || plan->length > MostFileBytes)
    status = bridgeFail(BM_ERROR_ARGUMENT, "The plan has " QUOTED_U64 " bytes: it is no plan", plan->length);
  else if (!(plan->bytes = malloc(plan->length)))
    status = bridgeFail(BM_ERROR_MEMORY, "There is no memory for a plan of " QUOTED_U64 " bytes", plan->length);
  else
    status = readWhole(file, plan->bytes, plan->length);
  close(file);
  return status;
}

static bm_status checkHeader(const PlanFile *plan, Reader *reader) {
  uint32_t magic = readWord(reader), version = readWord(reader);
  uint64_t length = readLong(reader);
  const uint8_t *digest = readBytes(reader, PLAN_DIGEST_BYTES);
  if (magic != PLAN_MAGIC)
    return bridgeFail(BM_ERROR_ARGUMENT, "The plan begins with \"0x%08x\", not \"0x%08x\": it is no plan", magic,
                      PLAN_MAGIC);
  if (version != PLAN_VERSION)
    return bridgeFail(BM_ERROR_UNSUPPORTED,
                      "The plan has version \"%u\", this library reads \"%u\": export the model again", version,
                      PLAN_VERSION);
  if (length != plan->length)
    return bridgeFail(BM_ERROR_ARGUMENT, "The plan has " QUOTED_U64 " of its " QUOTED_U64 " bytes: copy it again",
                      plan->length, length);
  uint8_t found[PLAN_DIGEST_BYTES];
  Digest sum;
  bridgeDigestBegin(&sum);
  bridgeDigestAdd(&sum, plan->bytes + reader->position, plan->length - reader->position);
  bridgeDigestEnd(&sum, found);
  if (memcmp(digest, found, sizeof found) != 0) return refuse("its digest does not match its bytes");
  return BM_OK;
}

/* Finds the sections; each kind has to be there once. */
static bm_status readSections(const PlanFile *plan, Reader *reader, Reader sections[PLAN_SECTION_COUNT + 1]) {
  uint32_t count = readWord(reader);
  readWord(reader);
  if (count != PLAN_SECTION_COUNT) return refuse("its number of sections is wrong");
  uint64_t end = PLAN_HEADER_BYTES + PLAN_SECTION_COUNT * PLAN_SECTION_BYTES;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t kind = readWord(reader);
    readWord(reader);
    uint64_t offset = readLong(reader), length = readLong(reader);
    if (reader->isShort) return refuse("it ends within its list of sections");
    if (kind < 1 || kind > PLAN_SECTION_COUNT || sections[kind].bytes)
      return refuse("it has a section of unknown kind, or one twice");
    if (offset % PLAN_SECTION_ALIGNMENT != 0 || offset < end || !bridgeRangeFits(offset, length, plan->length))
      return refuse("a section lies outside of the file");
    sections[kind] = (Reader){.bytes = plan->bytes + offset, .length = length};
  }
  return BM_OK;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

/* A text as a C string, to be freed; NULL with the error set. */
static char *readText(Reader *reader, const char *what) {
  uint32_t length = readWord(reader);
  const uint8_t *bytes = readBytes(reader, length);
  readBytes(reader, (4 - length % 4) % 4);
  if (reader->isShort || length == 0 || length > MostNameBytes || memchr(bytes, 0, length)) {
    refuse(what);
    return NULL;
  }
  char *text = malloc((size_t)length + 1);
  if (!text) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a plan");
    return NULL;
  }
  memcpy(text, bytes, length);
  text[length] = 0;
  return text;
}

bool bridgePlanNameIsInside(const char *name) {
  if (!*name || *name == '/') return false;
  for (const char *part = name;; part++) {
    size_t length = strcspn(part, "/");
    if (length == 2 && part[0] == '.' && part[1] == '.') return false;
    part += length;
    if (!*part) return true;
  }
}

/* What a plan tells the kernels is only right for the kernels that it was made for. */
static bool isDigestOfShaders(const uint8_t digest[PLAN_DIGEST_BYTES]) {
  char text[2 * PLAN_DIGEST_BYTES + 1], shaders[2 * PLAN_DIGEST_BYTES + 1];
  for (int i = 0; i < PLAN_DIGEST_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
  bm_shaders_digest(shaders, sizeof shaders);
  return memcmp(text, shaders, sizeof text) == 0;
}

static bm_status readModel(PlanFile *plan, Reader *reader) {
  uint32_t abiVersion = readWord(reader);
  plan->vocabulary = readWord(reader);
  plan->contextLength = readWord(reader);
  plan->rows = readWord(reader);
  plan->blockSize = readWord(reader);
  plan->blockCount = readWord(reader);
  plan->needs = readWord(reader);
  plan->simdWidth = readWord(reader);
  plan->modelLength = readLong(reader);
  plan->headerLength = readLong(reader);
  plan->headerDigest = readBytes(reader, PLAN_DIGEST_BYTES);
  const uint8_t *shadersDigest = readBytes(reader, PLAN_DIGEST_BYTES);
  if (reader->isShort) return refuse("its description of the model is too short");
  if (abiVersion != BM_ABI_VERSION)
    return bridgeFail(BM_ERROR_UNSUPPORTED,
                      "The plan was exported for version \"%u\" of the library, this is \"%u\": export the model again",
                      abiVersion, BM_ABI_VERSION);
  if (!isDigestOfShaders(shadersDigest))
    return bridgeFail(BM_ERROR_UNSUPPORTED,
                      "The plan was exported for other shaders than those of this library: export the model again");
  if (plan->vocabulary < 1 || plan->vocabulary > MostTokens) return refuse("its vocabulary is absurd");
  if (plan->contextLength < 1 || plan->contextLength > MostContext) return refuse("its context length is absurd");
  if (plan->rows < 1 || plan->rows > MostRows) return refuse("its number of rows is absurd");
  if (plan->blockSize < 1 || plan->blockCount > BM_MAX_DYNAMIC_WORDS ||
      (uint64_t)plan->blockSize * plan->blockCount < plan->contextLength)
    return refuse("its cache has no room for its context");
  if (plan->headerLength == 0 || plan->headerLength > plan->modelLength)
    return refuse("the model's lengths are absurd");
  plan->modelName = readText(reader, "the name of its model file is missing");
  if (!plan->modelName) return bm_error_code();
  if (!bridgePlanNameIsInside(plan->modelName))
    return bridgeFail(BM_ERROR_ARGUMENT, "The plan asks for \"%s\", which leads out of its directory", plan->modelName);
  return BM_OK;
}

static bm_status readKernels(PlanFile *plan, Reader *reader) {
  uint32_t count = readWord(reader);
  if (reader->isShort || count < 1 || count > MostKernels) return refuse("its number of kernels is absurd");
  plan->kernels = calloc(count, sizeof *plan->kernels);
  if (!plan->kernels) return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a plan");
  for (; plan->kernelCount < count; plan->kernelCount++) {
    PlanKernel *kernel = &plan->kernels[plan->kernelCount];
    kernel->threads = readWord(reader);
    kernel->name = readText(reader, "the name of a kernel is missing");
    if (!kernel->name) return bm_error_code();
  }
  return BM_OK;
}

static bm_status checkBuffer(const PlanFile *plan, const PlanBuffer *buffer) {
  uint64_t limit = UINT64_C(1) << 53; // the device knows the real one
  switch (buffer->role) {
    case PLAN_BUFFER_WEIGHTS: limit = plan->modelLength; break;
    case PLAN_BUFFER_DATA: limit = plan->dataLength; break;
    case PLAN_BUFFER_LOGITS:
      if (buffer->length < (uint64_t)plan->vocabulary * sizeof(float)) return refuse("its logits have no room");
      break;
    case PLAN_BUFFER_SCRATCH:
    case PLAN_BUFFER_CACHE: break;
    default: return refuse("a buffer has an unknown role");
  }
  if (buffer->length == 0 || !bridgeRangeFits(buffer->offset, buffer->length, limit))
    return refuse("a buffer lies outside of what it shows");
  return BM_OK;
}

static bm_status readBuffers(PlanFile *plan, Reader *reader) {
  uint32_t count = readWord(reader), logits = 0;
  readWord(reader);
  if (reader->isShort || count < 1 || count > MostBuffers || count > readerLeft(reader) / 24)
    return refuse("its number of buffers is absurd");
  plan->buffers = calloc(count, sizeof *plan->buffers);
  if (!plan->buffers) return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a plan");
  for (; plan->bufferCount < count; plan->bufferCount++) {
    PlanBuffer *buffer = &plan->buffers[plan->bufferCount];
    buffer->role = readWord(reader);
    readWord(reader);
    buffer->offset = readLong(reader);
    buffer->length = readLong(reader);
    if (checkBuffer(plan, buffer) != BM_OK) return bm_error_code();
    if (buffer->role == PLAN_BUFFER_LOGITS) logits++;
  }
  return logits == 1 ? BM_OK : refuse("it has no buffer for logits, or several");
}

static bool wordsFit(const PlanProgram *program, uint32_t first, uint32_t count) {
  return first <= program->wordCount && count <= program->wordCount - first;
}

static bm_status checkWords(const PlanFile *plan, const PlanProgram *program) {
  uint32_t rows = program->rows;
  bool picksRows = program->wanted != PLAN_NONE;
  bool fits = program->wordCount <= BM_MAX_DYNAMIC_WORDS && wordsFit(program, program->rowsWord, 1) &&
              wordsFit(program, program->tokens, rows) && wordsFit(program, program->positions, rows) &&
              wordsFit(program, program->sequences, rows) && wordsFit(program, program->slots, rows) &&
              wordsFit(program, program->blockTable, plan->blockCount) &&
              (!picksRows || (wordsFit(program, program->wanted, 1) && wordsFit(program, program->wantedRowsWord, 1)));
  // One row of logits has room: of several rows, one must be picked.
  if (!fits || picksRows != (rows > 1)) return refuse("the dynamic words of a step do not fit it");
  for (uint32_t i = 0; i < program->derivedCount; i++) {
    const uint32_t *derived = &program->derived[3 * i];
    if (derived[0] > (picksRows ? 1 : 0) || (uint64_t)derived[1] * rows > UINT32_MAX ||
        !wordsFit(program, derived[2], 1))
      return refuse("a derived word of a step does not fit it");
  }
  for (uint32_t i = 0; i < program->fixedCount; i++)
    if (!wordsFit(program, program->fixed[2 * i + 1], 1)) return refuse("a fixed word of a step does not fit it");
  return BM_OK;
}

static bm_status readProgram(const PlanFile *plan, Reader *reader, PlanProgram *program) {
  const uint32_t *words = readWords(reader, WordsOfProgram);
  if (!words) return refuse("it ends within its programs");
  memcpy(program, words, WordsOfProgram * sizeof *words); // the fields are in the order of the file
  program->derived = readWords(reader, (uint64_t)program->derivedCount * 3);
  program->fixed = readWords(reader, (uint64_t)program->fixedCount * 2);
  program->program = readWords(reader, program->programLength);
  if (reader->isShort) return refuse("it ends within its programs");
  return checkWords(plan, program);
}

static bm_status readPrograms(PlanFile *plan, Reader *reader) {
  uint32_t count = readWord(reader);
  if (reader->isShort || count < 1 || count > MostPrograms) return refuse("its number of programs is absurd");
  plan->programs = calloc(count, sizeof *plan->programs);
  if (!plan->programs) return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a plan");
  uint32_t before = 0;
  for (; plan->programCount < count; plan->programCount++) {
    PlanProgram *program = &plan->programs[plan->programCount];
    if (readProgram(plan, reader, program) != BM_OK) return bm_error_code();
    if (program->rows <= before) return refuse("its programs are not in order");
    before = program->rows;
  }
  if (plan->programs[0].rows != 1 || before != plan->rows) return refuse("its programs are for other rows");
  return BM_OK;
}

_Static_assert(offsetof(PlanProgram, derived) >= WordsOfProgram * sizeof(uint32_t), "the words fill the first fields");

static bm_status readPlan(const char *path, PlanFile *plan) {
  if (readCopy(path, plan) != BM_OK) return bm_error_code();
  Reader header = {.bytes = plan->bytes, .length = plan->length};
  Reader sections[PLAN_SECTION_COUNT + 1] = {{0}};
  if (checkHeader(plan, &header) != BM_OK || readSections(plan, &header, sections) != BM_OK) return bm_error_code();
  plan->data = sections[PLAN_SECTION_DATA].bytes;
  plan->dataLength = sections[PLAN_SECTION_DATA].length;
  plan->tokenizer = sections[PLAN_SECTION_TOKENIZER];
  if (readModel(plan, &sections[PLAN_SECTION_MODEL]) != BM_OK ||
      readKernels(plan, &sections[PLAN_SECTION_KERNELS]) != BM_OK ||
      readBuffers(plan, &sections[PLAN_SECTION_BUFFERS]) != BM_OK)
    return bm_error_code();
  return readPrograms(plan, &sections[PLAN_SECTION_PROGRAMS]);
}

bm_status bridgePlanFileRead(const char *path, PlanFile *plan) {
  *plan = (PlanFile){0};
  bm_status status = readPlan(path, plan);
  if (status != BM_OK) bridgePlanFileFree(plan);
  return status;
}

void bridgePlanFileFree(PlanFile *plan) {
  for (uint32_t i = 0; i < plan->kernelCount; i++) free(plan->kernels[i].name);
  free(plan->kernels);
  free(plan->buffers);
  free(plan->programs);
  free(plan->modelName);
  free(plan->bytes);
  *plan = (PlanFile){0};
}

/* ---- the model file ---------------------------------------------------------------------------------------------- */

static bm_status digestHeader(int file, uint64_t length, uint8_t digest[PLAN_DIGEST_BYTES]) {
  enum { Part = 1 << 16 };
  uint8_t *part = malloc(Part);
  if (!part) return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a model");
  Digest sum;
  bridgeDigestBegin(&sum);
  bm_status status = BM_OK;
  for (uint64_t at = 0; at < length && status == BM_OK;) {
    uint64_t count = length - at < Part ? length - at : Part;
    status = readWhole(file, part, count);
    bridgeDigestAdd(&sum, part, count);
    at += count;
  }
  free(part);
  bridgeDigestEnd(&sum, digest);
  return status;
}

bm_status bridgePlanFileCheckModel(const PlanFile *plan, const char *path) {
  uint64_t length;
  int file = openFile(path, "model", &length);
  if (file < 0) return bm_error_code();
  bm_status status = BM_OK;
  uint8_t digest[PLAN_DIGEST_BYTES];
  if (length != plan->modelLength)
    status = bridgeFail(BM_ERROR_ARGUMENT,
                        "The model has " QUOTED_U64 " bytes, but the plan was exported from one of " QUOTED_U64
                        ": export the plan again, or copy its model beside it",
                        length, plan->modelLength);
  else if ((status = digestHeader(file, plan->headerLength, digest)) == BM_OK &&
           memcmp(digest, plan->headerDigest, sizeof digest) != 0)
    status = bridgeFail(BM_ERROR_ARGUMENT,
                        "The model has other metadata or tensors than the one that the plan was exported from: "
                        "export the plan again, or copy its model beside it");
  close(file);
  return status;
}
