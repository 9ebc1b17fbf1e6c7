/*
 * mslc: compiles Metal Shading Language for the devices of this layer, and looks into what it has compiled.
 */
#include "../cpu/library.h"
#include "../cuda/kernels.h"
#include "compile.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: mslc [options] FILE.metal... -o OUT.metallib\n"
    "       mslc --list LIBRARY.metallib [--target TARGET]\n"
    "       mslc --ptx LIBRARY.metallib -o DIRECTORY\n"
    "\n"
    "Compiles Metal Shading Language into a library for the CPU device or for CUDA devices.\n"
    "\n"
    "  -o FILE           where to write the library\n"
    "  -I DIRECTORY      look there for #include \"...\"\n"
    "  -D NAME[=VALUE]   define a macro\n"
    "  --target TARGET   what to compile for: x86-64-v2, x86-64-v3, x86-64-v4, armv8-a or nvptx64-sm_80; may be\n"
    "                    there several times (default: the best that this machine's processor has)\n"
    "  --list FILE       list the kernels of a library with their arguments\n"
    "  --ptx FILE        write the PTX of each kernel of a library into a file\n"
    "  --help            show this\n"
    "\n"
    "Environment: BUN_METAL_CLANG, the clang to use; BUN_METAL_CPU_LEVEL, this machine's level where\n"
    "--target is not given.\n"
    "Exit status: 0 when the library was written, 1 when a source was refused, 2 for a mistake on the command line.\n";

static int mistake(const char *format, const char *what) {
  fprintf(stderr, "mslc: ");
  fprintf(stderr, format, what);
  fprintf(stderr, "\nTry 'mslc --help'.\n");
  return 2;
}

static void listFunction(const DriverFunction *f) {
  printf("%s\n", f->name);
  for (uint32_t k = 0; k < f->argumentCount; k++) {
    const DriverArgument *a = &f->arguments[k];
    printf("  %s(%u) %s: %s%s, %u bytes%s, aligned to %u\n", a->kind == DriverArgumentBuffer ? "buffer" : "threadgroup", a->index,
           a->name,
           a->kind == DriverArgumentThreadgroupMemory ? "threadgroup"
           : a->constantSpace                         ? "constant"
           : a->writable                              ? "device"
                                                      : "const device",
           a->reference ? " reference" : "", a->dataSize, a->reference ? "" : " each", a->alignment);
  }
  if (f->maxTotalThreadsPerThreadgroup < 1024) printf("  at most %u threads\n", f->maxTotalThreadsPerThreadgroup);
  if (f->staticThreadgroupMemoryLength) printf("  threadgroup memory: %u bytes\n", f->staticThreadgroupMemoryLength);
}

static int failure(char *message) {
  fprintf(stderr, "mslc: %s\n", message ? message : "out of memory");
  free(message);
  return 1;
}

/** The kernels of a library for a target; without one, for this machine's processor. */
static int list(const char *path, const char *target) {
  char *message = NULL;
  if (target && strcmp(target, CUDA_TARGET) == 0) {
    CudaKernels *kernels = cudaKernelsLoadFile(path, &message);
    if (!kernels) return failure(message);
    for (uint32_t i = 0; i < kernels->functionCount; i++) listFunction(&kernels->functions[i]);
    cudaKernelsFree(kernels);
    return 0;
  }
  DriverLibrary *library = cpuLibraryLoadFile(path, &message);
  if (!library) return failure(message);
  for (uint32_t i = 0; i < library->functionCount; i++) listFunction(&library->functions[i]);
  cpuLibraryUnload(library);
  return 0;
}

/** Writes the PTX of each kernel of a library into a file of its own. */
static int writeTexts(const char *path, const char *directory) {
  char *message = NULL;
  CudaKernels *kernels = cudaKernelsLoadFile(path, &message);
  if (!kernels) return failure(message);
  int status = 0;
  for (uint32_t i = 0; i < kernels->functionCount && status == 0; i++) {
    char *text = cudaKernelsText(kernels, i);
    char *name = mslFormat("%s/%s.ptx", directory, cudaKernelsEntry(kernels, i));
    FILE *file = text && name ? fopen(name, "we") : NULL;
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
      status = failure(mslFormat("cannot write '%s': %s", name ? name : directory, strerror(errno)));
    free(text);
    free(name);
  }
  cudaKernelsFree(kernels);
  return status;
}

/** Writes beside the goal and renames, so that nobody ever sees half a library. */
static bool writeLibrary(const char *path, const MslText *image) {
  char *temporary = mslFormat("%s.%ld.tmp", path, (long)getpid());
  const int fd = temporary ? open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
  bool ok = fd >= 0;
  size_t at = 0;
  while (ok && at < image->length) {
    const ssize_t n = write(fd, image->bytes + at, image->length - at);
    if (n < 0 && errno == EINTR) continue;
    ok = n > 0;
    if (ok) at += (size_t)n;
  }
  int error = errno;
  if (fd >= 0 && close(fd) != 0 && ok) {
    error = errno;
    ok = false;
  }
  if (ok && rename(temporary, path) != 0) {
    error = errno;
    ok = false;
  }
  if (!ok) {
    fprintf(stderr, "mslc: cannot write '%s': %s\n", path, strerror(error));
    if (temporary && fd >= 0) unlink(temporary);
  }
  free(temporary);
  return ok;
}

typedef struct CommandLine {
  const char **includes, **defines;
  MslInput *inputs;
  const char *targets[MslMaxTargets];
  uint32_t includeCount, defineCount, inputCount, targetCount;
  const char *output, *listed, *shown;
} CommandLine;

/** The value of an option that may be glued to it: -I dir, -Idir. */
static const char *value(int argc, char **argv, int *i) {
  if (argv[*i][2]) return argv[*i] + 2;
  return *i + 1 < argc ? argv[++*i] : NULL;
}

static int parse(CommandLine *line, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    if (strcmp(a, "--") == 0) {
      while (++i < argc) line->inputs[line->inputCount++].name = argv[i];
    } else if (a[0] != '-') {
      line->inputs[line->inputCount++].name = a;
    } else if (strcmp(a, "--list") == 0) {
      if (i + 1 >= argc) return mistake("'%s' needs a library", a);
      line->listed = argv[++i];
    } else if (strcmp(a, "--ptx") == 0) {
      if (i + 1 >= argc) return mistake("'%s' needs a library", a);
      line->shown = argv[++i];
    } else if (strcmp(a, "--target") == 0) {
      if (i + 1 >= argc) return mistake("'%s' needs a target", a);
      if (line->targetCount == MslMaxTargets) return mistake("'%s' is there too often", a);
      line->targets[line->targetCount++] = argv[++i];
    } else if (a[1] == 'o' || a[1] == 'I' || a[1] == 'D') {
      const char *v = value(argc, argv, &i);
      if (!v || !*v) return mistake("'%s' needs a value behind it", a);
      if (a[1] == 'I')
        line->includes[line->includeCount++] = v;
      else if (a[1] == 'D')
        line->defines[line->defineCount++] = v;
      else if (line->output)
        return mistake("'%s': there can be only one output", a);
      else
        line->output = v;
    } else {
      return mistake("unknown option '%s'", a);
    }
  }
  if (line->listed) return 0;
  if (line->shown) return line->output ? 0 : mistake("say where to write the PTX: %s", "-o DIRECTORY");
  if (line->inputCount == 0) return mistake("no %s to compile", "source");
  if (!line->output) return mistake("say where to write the library: %s", "-o FILE");
  for (uint32_t i = 0; i < line->inputCount; i++)
    if (strcmp(line->inputs[i].name, line->output) == 0)
      return mistake("'%s' is a source and the output", line->output);
  return 0;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(usage, stdout);
      return 0;
    }
  CommandLine line = {.includes = calloc((size_t)argc, sizeof(char *)),
                      .defines = calloc((size_t)argc, sizeof(char *)),
                      .inputs = calloc((size_t)argc, sizeof(MslInput))};
  int status = 1;
  if (line.includes && line.defines && line.inputs) {
    status = parse(&line, argc, argv);
    if (status == 0 && line.listed) {
      status = list(line.listed, line.targetCount ? line.targets[0] : NULL);
    } else if (status == 0 && line.shown) {
      status = writeTexts(line.shown, line.output);
    } else if (status == 0) {
      const MslOptions options = {line.includes, line.includeCount, line.defines, line.defineCount, line.targets,
                                  line.targetCount};
      MslText image = {0}, messages = {0};
      const bool ok = mslCompile(line.inputs, line.inputCount, &options, &image, &messages);
      if (messages.bytes) fputs(messages.bytes, stderr);
      status = ok && writeLibrary(line.output, &image) ? 0 : 1;
      mslTextFree(&image);
      mslTextFree(&messages);
    }
  }
  free(line.includes);
  free(line.defines);
  free(line.inputs);
  return status;
}
