/* compile.c: see compile.h. */
#include "compile.h"
#include "diagnostics.h"
#include "image.h"
#include "process.h"
#include "shader.h"
#include "toolchain.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MaxArguments = 256, MaxJobs = 64 };

/** One source on its way. */
typedef struct Unit {
  const MslInput *input;
  MslText messages;
  MslShader shader;
  char *preprocessed;
  char *path; /* without its ending: the unit's files in the temporary directory */
  bool failed;
} Unit;

typedef struct Compilation {
  MslToolchain toolchain;
  const MslOptions *options;
  char *directory; /* temporary, ours alone */
  Unit *units;
  uint32_t count;
  atomic_uint next;
  bool preprocessing;
} Compilation;

/** An argument list for a process; the strings that it makes are its own. */
typedef struct Arguments {
  char *list[MaxArguments + 1];
  uint32_t count;
  bool failed;
} Arguments;

static void add(Arguments *a, const char *text) {
  char *copy = a->count < MaxArguments ? strdup(text) : NULL;
  if (copy)
    a->list[a->count++] = copy;
  else
    a->failed = true;
}
static void addPath(Arguments *a, const char *before, const char *path, const char *after) {
  char *text = mslFormat("%s%s%s", before, path, after);
  if (text)
    add(a, text);
  else
    a->failed = true;
  free(text);
}
static void freeArguments(Arguments *a) {
  for (uint32_t i = 0; i < a->count; i++) free(a->list[i]);
}

static bool readFile(const char *path, size_t limit, MslText *out, char **message) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) {
    *message = mslFormat("error: cannot read '%s': %s\n", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    *message = mslFormat("error: '%s' is not a file\n", path);
  } else {
    char bytes[65536];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) != 0) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        *message = mslFormat("error: cannot read '%s': %s\n", path, strerror(errno));
        break;
      }
      if (out->length + (size_t)n > limit) {
        *message = mslFormat("error: '%s' is larger than %zu bytes\n", path, limit);
        break;
      }
      mslTextAppend(out, bytes, (size_t)n);
    }
    if (!*message && out->failed) *message = mslFormat("error: out of memory\n");
  }
  if (fd >= 0) close(fd);
  return !*message;
}

static bool writeFile(const char *path, const char *bytes, size_t length, MslText *messages) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool ok = fd >= 0;
  while (ok && length > 0) {
    const ssize_t n = write(fd, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    ok = n > 0;
    if (ok) {
      bytes += n;
      length -= (size_t)n;
    }
  }
  const int error = errno;
  if (fd >= 0 && close(fd) != 0) ok = false;
  if (!ok) mslTextPrint(messages, "error: cannot write a temporary file: %s\n", strerror(error));
  return ok;
}

/** Runs clang for a unit; its messages are cleaned and kept. */
static bool runClang(Compilation *c, Unit *unit, Arguments *a, MslText *out) {
  if (a->failed) {
    mslTextPuts(&unit->messages, "error: out of memory, or too many options\n");
    return false;
  }
  MslProcess process;
  mslProcessRun(&process, a->list, MslMaxPreprocessed);
  if (process.errors.bytes) mslDiagnostics(&unit->messages, process.errors.bytes, c->toolchain.headers, c->directory);
  bool ok = process.status == 0 && !process.truncated;
  if (process.truncated)
    mslTextPrint(&unit->messages, "%s:1: error: the source has more than %d bytes after preprocessing\n",
                 unit->input->name, MslMaxPreprocessed);
  else if (process.status >= 128 || (!ok && !unit->messages.length))
    mslTextPrint(&unit->messages, "%s:1: error: the compiler '%s' failed on this source (status %d)%s%s\n",
                 unit->input->name, c->toolchain.clang, process.status, process.errors.length ? ": " : "",
                 process.errors.bytes && process.errors.length < 400 ? process.errors.bytes : "");
  if (ok && out) {
    *out = process.out;
    process.out = (MslText){0};
  }
  mslProcessFree(&process);
  return ok;
}

/** First step: clang -E against the empty headers, then our own reading. */
static void preprocess(Compilation *c, Unit *unit) {
  Arguments a = {0};
  add(&a, c->toolchain.clang);
  static const char *const options[] = {"-E",
                                        "-x",
                                        "c++",
                                        "-std=c++14",
                                        "-nostdinc",
                                        "-undef",
                                        "-fno-caret-diagnostics",
                                        "-fno-color-diagnostics",
                                        "-Wno-unknown-pragmas",
                                        "-D__METAL__=1",
                                        "-D__METAL_VERSION__=310",
                                        "-D__METAL_LINUX__=1",
                                        "-D__HAVE_SIMDGROUP_MATRIX__=1",
                                        "-D__HAVE_SIMDGROUP_REDUCTION__=1"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) add(&a, options[i]);
  for (uint32_t i = 0; i < c->options->includeCount; i++) addPath(&a, "-I", c->options->includes[i], "");
  for (uint32_t i = 0; i < c->options->defineCount; i++) addPath(&a, "-D", c->options->defines[i], "");
  addPath(&a, "-isystem", c->toolchain.headers, "/include");
  bool ok = true;
  if (unit->input->text) {
    MslText source = {0};
    mslTextPuts(&source, "#line 1 \"");
    for (const char *s = unit->input->name; *s; s++) {
      if (*s == '"' || *s == '\\') mslTextAppend(&source, "\\", 1);
      if (*s != '\n') mslTextAppend(&source, s, 1);
    }
    mslTextPuts(&source, "\"\n");
    mslTextAppend(&source, unit->input->text, unit->input->length);
    char *path = mslFormat("%s.metal", unit->path);
    ok = path && !source.failed && writeFile(path, source.bytes, source.length, &unit->messages);
    if (path) add(&a, path);
    free(path);
    mslTextFree(&source);
  } else {
    struct stat info;
    char *message = NULL;
    if (stat(unit->input->name, &info) != 0)
      message = mslFormat("error: cannot read '%s': %s\n", unit->input->name, strerror(errno));
    else if (!S_ISREG(info.st_mode))
      message = mslFormat("error: '%s' is not a file\n", unit->input->name);
    else if (info.st_size > MslMaxSource)
      message = mslFormat("error: '%s' is larger than %d bytes\n", unit->input->name, MslMaxSource);
    if (message) mslTextPuts(&unit->messages, message);
    ok = !message;
    free(message);
    addPath(&a, unit->input->name[0] == '-' ? "./" : "", unit->input->name, "");
  }
  MslText out = {0};
  ok = ok && runClang(c, unit, &a, &out);
  freeArguments(&a);
  if (ok) {
    const size_t length = out.length;
    unit->preprocessed = mslTextTake(&out);
    ok = unit->preprocessed && mslShaderRead(&unit->shader, unit->preprocessed, length);
    if (!ok && unit->shader.errors.bytes) mslTextPuts(&unit->messages, unit->shader.errors.bytes);
  }
  mslTextFree(&out);
  unit->failed = !ok;
}

#define LANGUAGE_EXTENSIONS                                                               \
  "-cl-ext=+cl_khr_fp16,+cl_khr_fp64,+__opencl_c_fp64,+__opencl_c_generic_address_space," \
  "+__opencl_c_program_scope_global_variables,+__cl_clang_function_pointers"
static const char *const languageOptions[] = {
    "-c", "-x", "clcpp", "-cl-std=clc++2021", "-cl-no-stdinc", "-Xclang", LANGUAGE_EXTENSIONS,
    "-cl-single-precision-constant", "-fno-caret-diagnostics", "-fno-color-diagnostics", "-ferror-limit=20",
    /* Few warnings say something about MSL. Two are errors: threads have small stacks, and nothing may run at
     * load. */
    "-Wno-everything", "-Wframe-larger-than=24576", "-Werror=frame-larger-than", "-Werror=global-constructors",
    "-Wdivision-by-zero", "-Wuninitialized", "-Wreturn-type", "-Wshift-count-overflow", "-Wtautological-compare"};
/* Fast where NaN and infinity keep their meaning. Metal inlines everything; nearly so does this. */
static const char *const codeOptions[] = {"-fPIC",
                                          "-fvisibility=hidden",
                                          "-O3",
                                          "-ffp-contract=fast",
                                          "-fno-math-errno",
                                          "-fno-trapping-math",
                                          "-fassociative-math",
                                          "-fno-signed-zeros",
                                          "-freciprocal-math",
                                          "-fno-strict-aliasing",
                                          "-fno-stack-protector",
                                          "-fno-asynchronous-unwind-tables",
                                          "-fno-ident",
                                          "-mllvm",
                                          "-inline-threshold=4000"};

static const char *const x86Options[] = {
    "-mrecip=none",  /* estimates make NaN of 1 / 0 and of 1 / infinity */
    "-mno-red-zone", /* lanes wait by a call that the compiler does not see as one */
    NULL};
static const char *const armOptions[] = {
    "-fsigned-char",        /* MSL's char has a sign everywhere */
    "-mno-outline-atomics", /* whose functions are in the compiler's library, which is not linked */
    NULL};

static void addTarget(Arguments *a, const MslToolchain *toolchain) {
  add(a, "-target");
  add(a, toolchain->target);
}

/** Second step: our C++ for OpenCL to an object file. */
static void compileUnit(Compilation *c, Unit *unit) {
  char *text = mslShaderWrite(&unit->shader);
  char *path = mslFormat("%s.clcpp", unit->path);
  unit->failed = true;
  if (!text && unit->shader.errors.bytes) {
    mslTextPuts(&unit->messages, unit->shader.errors.bytes);
  } else if (!text || !path) {
    mslTextPuts(&unit->messages, "error: out of memory\n");
  } else if (writeFile(path, text, strlen(text), &unit->messages)) {
    Arguments a = {0};
    add(&a, c->toolchain.clang);
    for (size_t i = 0; i < sizeof languageOptions / sizeof *languageOptions; i++) add(&a, languageOptions[i]);
    for (size_t i = 0; i < sizeof codeOptions / sizeof *codeOptions; i++) add(&a, codeOptions[i]);
    addTarget(&a, &c->toolchain);
    addPath(&a, "-march=", c->toolchain.level, "");
    const char *const *machineOptions = strncmp(c->toolchain.target, "x86_64", 6) == 0 ? x86Options : armOptions;
    for (; *machineOptions; machineOptions++) add(&a, *machineOptions);
    if (unit->shader.usesThreadElements) add(&a, "-DMETAL_THREAD_ELEMENTS=1");
    add(&a, "-include");
    addPath(&a, "", c->toolchain.headers, "/library/library.h");
    addPath(&a, "-I", c->toolchain.headers, "/library");
    addPath(&a, "-I", c->toolchain.headers, "/cpu");
    add(&a, path);
    add(&a, "-o");
    addPath(&a, "", unit->path, ".o");
    unit->failed = !runClang(c, unit, &a, NULL);
    freeArguments(&a);
  }
  free(text);
  free(path);
}

static void *work(void *argument) {
  Compilation *c = argument;
  for (;;) {
    const uint32_t i = atomic_fetch_add(&c->next, 1);
    if (i >= c->count) return NULL;
    if (c->preprocessing)
      preprocess(c, &c->units[i]);
    else
      compileUnit(c, &c->units[i]);
  }
}

/** Runs one step over all units, as many at once as there are processors. Returns whether all went well. */
static bool runStep(Compilation *c, bool preprocessing) {
  pthread_t threads[MaxJobs];
  uint32_t started = 0;
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  c->preprocessing = preprocessing;
  atomic_store(&c->next, 0);
  while (started + 1 < c->count && started + 1 < MaxJobs && (long)started + 1 < processors)
    if (pthread_create(&threads[started], NULL, work, c) == 0)
      started++;
    else
      break;
  work(c);
  for (uint32_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
  bool ok = true;
  for (uint32_t i = 0; i < c->count; i++) ok = ok && !c->units[i].failed;
  return ok;
}

/** Two files may not give the host the same name. */
static bool checkNames(Compilation *c) {
  for (uint32_t u = 1; u < c->count; u++)
    for (uint32_t e = 0; e < c->units[u].shader.entryCount; e++)
      for (uint32_t v = 0; v < u; v++)
        for (uint32_t f = 0; f < c->units[v].shader.entryCount; f++)
          if (strcmp(c->units[u].shader.entries[e].hostName, c->units[v].shader.entries[f].hostName) == 0) {
            const MslText before = c->units[u].shader.errors;
            mslError(&c->units[u].shader, c->units[u].shader.entries[e].token, "the host name '%s' is taken in '%s'",
                     c->units[u].shader.entries[e].hostName, c->units[v].input->name);
            if (c->units[u].shader.errors.bytes)
              mslTextPuts(&c->units[u].messages, c->units[u].shader.errors.bytes + before.length);
            c->units[u].failed = true;
          }
  for (uint32_t u = 0; u < c->count; u++)
    if (c->units[u].failed) return false;
  return true;
}

static bool linkLibrary(Compilation *c, MslText *image, MslText *messages) {
  Arguments a = {0};
  add(&a, c->toolchain.clang);
  static const char *const options[] = {
      "-shared", "-nostdlib", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,--build-id=none", "-Wl,--hash-style=gnu",
      "-Wl,-s"};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) add(&a, options[i]);
  addTarget(&a, &c->toolchain);
  if (c->toolchain.hasLld) add(&a, "-fuse-ld=lld");
  for (uint32_t i = 0; i < c->count; i++) addPath(&a, "", c->units[i].path, ".o");
  add(&a, "-o");
  char *path = mslFormat("%s/library.so", c->directory);
  add(&a, path ? path : "");
  bool ok = path && !a.failed;
  if (ok) {
    MslProcess process;
    mslProcessRun(&process, a.list, 1 << 20);
    ok = process.status == 0;
    if (!ok)
      mslTextPrint(messages, "error: the linker failed (status %d): %s\n", process.status,
                   process.errors.bytes ? process.errors.bytes : "");
    mslProcessFree(&process);
  }
  char *message = NULL;
  if (ok) ok = readFile(path, (size_t)1 << 30, image, &message);
  if (message) mslTextPuts(messages, message);
  free(message);
  free(path);
  freeArguments(&a);
  if (ok) mslImageSign(image, c->toolchain.level);
  return ok && !image->failed;
}

static void removeFiles(Compilation *c) {
  if (!c->directory) return;
  static const char *const endings[] = {".metal", ".clcpp", ".o"};
  for (uint32_t i = 0; i < c->count; i++)
    for (size_t e = 0; e < sizeof endings / sizeof *endings && c->units[i].path; e++) {
      char *path = mslFormat("%s%s", c->units[i].path, endings[e]);
      if (path) unlink(path);
      free(path);
    }
  char *library = mslFormat("%s/library.so", c->directory);
  if (library) unlink(library);
  free(library);
  rmdir(c->directory);
  free(c->directory);
}

static bool makeDirectory(Compilation *c, MslText *messages) {
  const char *parent = getenv("TMPDIR");
  c->directory = mslFormat("%s/bun-metal-XXXXXX", parent && *parent ? parent : "/tmp");
  if (c->directory && mkdtemp(c->directory)) return true;
  mslTextPrint(messages, "error: cannot make a temporary directory '%s': %s\n", c->directory ? c->directory : "",
               strerror(errno));
  free(c->directory);
  c->directory = NULL;
  return false;
}

bool mslCompile(const MslInput *inputs, uint32_t count, const MslOptions *options, MslText *image,
                MslText *messages) {
  static const MslOptions none;
  Compilation c = {.options = options ? options : &none, .count = count};
  char *missing = mslToolchainFind(&c.toolchain, c.options->level);
  bool ok = !missing;
  if (missing) mslTextPuts(messages, missing);
  free(missing);
  for (uint32_t i = 0; ok && i < count; i++)
    if (inputs[i].text && inputs[i].length > MslMaxSource) {
      mslTextPrint(messages, "%s:1: error: the source is larger than %d bytes\n", inputs[i].name, MslMaxSource);
      ok = false;
    }
  c.units = ok ? calloc(count ? count : 1, sizeof *c.units) : NULL;
  ok = ok && c.units && makeDirectory(&c, messages);
  for (uint32_t i = 0; ok && i < count; i++) {
    c.units[i].input = &inputs[i];
    c.units[i].path = mslFormat("%s/%u", c.directory, i);
    ok = c.units[i].path != NULL;
  }
  ok = ok && runStep(&c, true) && checkNames(&c) && runStep(&c, false);
  for (uint32_t i = 0; c.units && i < count; i++)
    if (c.units[i].messages.bytes) mslTextPuts(messages, c.units[i].messages.bytes);
  ok = ok && linkLibrary(&c, image, messages);
  if (!ok && messages->length == 0) mslTextPuts(messages, "error: out of memory\n");
  removeFiles(&c);
  for (uint32_t i = 0; c.units && i < count; i++) {
    mslShaderFree(&c.units[i].shader);
    mslTextFree(&c.units[i].messages);
    free(c.units[i].preprocessed);
    free(c.units[i].path);
  }
  free(c.units);
  mslToolchainFree(&c.toolchain);
  return ok;
}
