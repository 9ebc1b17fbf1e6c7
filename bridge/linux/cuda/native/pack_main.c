/*
 * pack: from the PTX that clang made of native kernels to the file that the library finds them in: a slice (../slice.h) whose
 * kernels are called NAME@TARGET. What targets have in common is there once, and a kernel of a newer target only where it is
 * another one.
 *
 *   pack OUT DIGEST.h FILE.ptx...   in the order of targets, the lowest first
 *
 * DIGEST.h tells the library what it may find there: plans and kernels are of one build.
 */
#include "../../msl/image.h"
#include "../ptx.h"
#include "../slice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MostPieces = 65536 };

typedef struct Pack {
  CudaSlice slice;
  const char *names[MostPieces]; /* of entries: NAME@TARGET, and the numbers of their pieces without the first */
  MslText members[MostPieces];
  uint32_t nameCount;
} Pack;

static int failure(const char *format, const char *what, const char *why) {
  fprintf(stderr, "pack: ");
  fprintf(stderr, format, what, why);
  fprintf(stderr, "\n");
  return 1;
}

/* The number of a text among the pieces, of which each is there once. */
static uint32_t pieceOf(Pack *pack, const char *text, size_t length) {
  const MslText *pieces = &pack->slice.pieces;
  size_t at = 0;
  for (uint32_t i = 0; i < pack->slice.pieceCount; i++) {
    uint32_t has;
    memcpy(&has, pieces->bytes + at, sizeof has);
    at += sizeof has;
    if (has == length && memcmp(pieces->bytes + at, text, length) == 0) return i;
    at += has;
  }
  cudaSliceText(&pack->slice.pieces, text, length);
  return pack->slice.pieceCount++;
}

/* What a kernel of that name had in the targets before; NULL if there is none. */
static const MslText *membersOf(const Pack *pack, const char *name, size_t length) {
  for (uint32_t i = pack->nameCount; i-- > 0;)
    if (strncmp(pack->names[i], name, length) == 0 && pack->names[i][length] == '@') return &pack->members[i];
  return NULL;
}

static int packEntry(Pack *pack, const PtxModule *module, uint32_t entry, const char *target) {
  const PtxPiece *piece = &module->pieces[entry];
  bool *needed = calloc(module->count, sizeof *needed);
  if (!needed || pack->nameCount == MostPieces) return failure("too much: %s%s", target, "");
  MslText members = {0};
  uint32_t count = 1;
  ptxMark(module, entry, needed);
  for (uint32_t p = 0; p < module->count; p++) {
    if (!needed[p]) continue;
    cudaSliceNumber(&members, pieceOf(pack, module->text.bytes + module->pieces[p].start, module->pieces[p].length));
    count++;
  }
  free(needed);
  const MslText *before = membersOf(pack, piece->name, piece->nameLength);
  char *name = mslFormat("%.*s@%s", (int)piece->nameLength, piece->name, target);
  /* The oldest version that has the target: CUDA 11.8 reads the first, and 12.0 the other. */
  char *start = mslFormat(".version %s\n.target sm_%s\n.address_size 64\n", atoi(target) < 90 ? "7.8" : "8.0", target);
  if (members.failed || !name || !start) return failure("out of memory%s%s", "", "");
  for (uint32_t i = 0; i < pack->nameCount; i++)
    if (strcmp(pack->names[i], name) == 0) return failure("there are two kernels %s%s", name, "");
  const bool isSame = before && before->length == members.length && memcmp(before->bytes, members.bytes, members.length) == 0;
  if (!isSame) {
    MslText *kernels = &pack->slice.kernels;
    cudaSliceText(kernels, name, strlen(name));
    cudaSliceText(kernels, piece->name, piece->nameLength);
    for (int i = 0; i < 4; i++) cudaSliceNumber(kernels, 0); /* threads, memory, bits, arguments */
    cudaSliceNumber(kernels, count);
    cudaSliceNumber(kernels, pieceOf(pack, start, strlen(start)));
    mslTextAppend(kernels, members.bytes, members.length);
    pack->slice.kernelCount++;
  }
  free(start);
  pack->names[pack->nameCount] = name;
  pack->members[pack->nameCount++] = members;
  return 0;
}

static int packFile(Pack *pack, const char *path) {
  MslText text = {0};
  char *message = NULL;
  if (!mslImageLoadFile(path, &text, &message)) return failure("cannot read %s: %s", path, message ? message : "");
  const char *target = strstr(text.bytes, ".target sm_");
  char number[8] = "";
  if (!target || sscanf(target, ".target sm_%7[0-9a]", number) != 1) return failure("%s is no PTX%s", path, "");
  PtxModule module;
  message = ptxRead(&module, text.bytes, text.length);
  int status = message ? failure("%s: %s", path, message) : 0;
  for (uint32_t p = 0; status == 0 && p < module.count; p++)
    if (module.pieces[p].isEntry) status = packEntry(pack, &module, p, number);
  free(message);
  ptxFree(&module);
  mslTextFree(&text);
  return status;
}

static int writeFile(const char *path, const char *bytes, size_t length) {
  FILE *file = fopen(path, "we");
  const bool ok = file && fwrite(bytes, 1, length, file) == length;
  if ((file && fclose(file) != 0) || !ok) return failure("cannot write %s: %s", path, strerror(errno));
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) return failure("%s%s", "say what to write: OUT DIGEST.h FILE.ptx...", "");
  Pack *pack = calloc(1, sizeof *pack);
  MslText out = {0};
  int status = pack ? 0 : 1;
  for (int i = 3; status == 0 && i < argc; i++) status = packFile(pack, argv[i]);
  if (status == 0 && !cudaSliceWrite(&out, "", &pack->slice)) status = failure("out of memory%s%s", "", "");
  if (status == 0) status = writeFile(argv[1], out.bytes, out.length);
  char *digest = mslFormat("#define CUDA_NATIVE_DIGEST 0x%016llxull\n",
                           status == 0 ? (unsigned long long)mslImageHash(out.bytes, out.length) : 0);
  if (status == 0) status = digest ? writeFile(argv[2], digest, strlen(digest)) : 1;
  free(digest);
  mslTextFree(&out);
  if (!pack) return status;
  for (uint32_t i = 0; i < pack->nameCount; i++) {
    free((char *)pack->names[i]);
    mslTextFree(&pack->members[i]);
  }
  cudaSliceFree(&pack->slice);
  free(pack);
  return status;
}
