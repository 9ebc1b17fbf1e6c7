/* compile.c: see compile.h. The steps; compile_cpu.c and compile_cuda.c have what differs between devices. */
#include "compilation.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MaxJobs = 64 };

/** First step: clang -E against the empty headers, then our own reading. */
static void preprocess(MslCompilation *c, MslUnit *unit) {
  MslArguments a = {0};
  mslAdd(&a, c->toolchain.clang);
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
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) mslAdd(&a, options[i]);
  for (uint32_t i = 0; i < c->options->includeCount; i++) mslAddPath(&a, "-I", c->options->includes[i], "");
  for (uint32_t i = 0; i < c->options->defineCount; i++) mslAddPath(&a, "-D", c->options->defines[i], "");
  mslAddPath(&a, "-isystem", c->toolchain.headers, "/include");
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
    ok = path && !source.failed && mslWriteFile(path, source.bytes, source.length, &unit->messages);
    if (path) mslAdd(&a, path);
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
    mslAddPath(&a, unit->input->name[0] == '-' ? "./" : "", unit->input->name, "");
  }
  MslText out = {0};
  ok = ok && mslRunClang(c, unit, &a, &out);
  mslArgumentsFree(&a);
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
    "-x", "clcpp", "-cl-std=clc++2021", "-cl-no-stdinc", "-Xclang", LANGUAGE_EXTENSIONS,
    "-cl-single-precision-constant", "-fno-caret-diagnostics", "-fno-color-diagnostics", "-ferror-limit=20",
    /* Few warnings say something about MSL. One is an error: nothing may run at load. */
    "-Wno-everything", "-Werror=global-constructors", "-Wdivision-by-zero", "-Wuninitialized", "-Wreturn-type",
    "-Wshift-count-overflow", "-Wtautological-compare",
    /* Fast where NaN and infinity keep their meaning. Metal inlines everything; nearly so does this. */
    "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros",
    "-freciprocal-math", "-fno-strict-aliasing", "-fno-ident", "-mllvm", "-inline-threshold=4000", NULL};

static const char *const directories[] = {[MslDeviceCpu] = "/cpu", [MslDeviceCuda] = "/cuda"};

bool mslAddSource(MslCompilation *c, MslUnit *unit, MslArguments *a, const char *output) {
  char *text = mslShaderWrite(&unit->shader, c->target->device);
  char *path = mslFormat("%s.clcpp", unit->path);
  bool ok = false;
  if (path) unlink(path); /* of the target before */
  if (!text && unit->shader.errors.bytes) {
    mslTextPuts(&unit->messages, unit->shader.errors.bytes);
  } else if (!text || !path) {
    mslTextPuts(&unit->messages, "error: out of memory\n");
  } else if (mslWriteFile(path, text, strlen(text), &unit->messages)) {
    mslAdd(a, c->toolchain.clang);
    mslAddAll(a, languageOptions);
    mslAdd(a, "-target");
    mslAdd(a, c->target->triple);
    mslAddPath(a, "-march=", c->target->march, "");
    if (unit->shader.usesThreadElements) mslAdd(a, "-DMETAL_THREAD_ELEMENTS=1");
    mslAdd(a, "-include");
    mslAddPath(a, "", c->toolchain.headers, "/library/library.h");
    mslAddPath(a, "-I", c->toolchain.headers, "/library");
    mslAddPath(a, "-I", c->toolchain.headers, directories[c->target->device]);
    mslAdd(a, path);
    mslAdd(a, "-o");
    mslAddPath(a, "", unit->path, output);
    ok = true;
  }
  free(text);
  free(path);
  return ok;
}

static void *work(void *argument) {
  MslCompilation *c = argument;
  for (;;) {
    const uint32_t i = atomic_fetch_add(&c->next, 1);
    if (i >= c->count) return NULL;
    c->step(c, &c->units[i]);
  }
}

/** Runs one step over all units, as many at once as there are processors. Returns whether all went well. */
static bool runStep(MslCompilation *c, void (*step)(MslCompilation *c, MslUnit *unit)) {
  pthread_t threads[MaxJobs];
  uint32_t started = 0;
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  c->step = step;
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
static bool checkNames(MslCompilation *c) {
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

static void removeFiles(MslCompilation *c) {
  if (!c->directory) return;
  static const char *const endings[] = {".metal", ".clcpp", ".o", ".ptx"};
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

static bool makeDirectory(MslCompilation *c, MslText *messages) {
  const char *parent = getenv("TMPDIR");
  c->directory = mslFormat("%s/bun-metal-XXXXXX", parent && *parent ? parent : "/tmp");
  if (c->directory && mkdtemp(c->directory)) return true;
  mslTextPrint(messages, "error: cannot make a temporary directory '%s': %s\n", c->directory ? c->directory : "",
               strerror(errno));
  free(c->directory);
  c->directory = NULL;
  return false;
}

/** What every target takes: sources preprocessed and read. Messages are the units'. */
static bool readSources(MslCompilation *c, const MslInput *inputs, MslText *messages) {
  for (uint32_t i = 0; i < c->count; i++)
    if (inputs[i].text && inputs[i].length > MslMaxSource) {
      mslTextPrint(messages, "%s:1: error: the source is larger than %d bytes\n", inputs[i].name, MslMaxSource);
      return false;
    }
  c->units = calloc(c->count ? c->count : 1, sizeof *c->units);
  if (!c->units || !makeDirectory(c, messages)) return false;
  for (uint32_t i = 0; i < c->count; i++) {
    c->units[i].input = &inputs[i];
    c->units[i].path = mslFormat("%s/%u", c->directory, i);
    if (!c->units[i].path) return false;
  }
  return runStep(c, preprocess) && checkNames(c);
}

/** Appends the units' messages. A target after the first repeats the warnings of that. */
static void takeMessages(MslCompilation *c, MslText *messages, bool wanted) {
  for (uint32_t i = 0; c->units && i < c->count; i++) {
    if (wanted && c->units[i].messages.bytes) mslTextPuts(messages, c->units[i].messages.bytes);
    mslTextFree(&c->units[i].messages);
  }
}

/** The targets that are asked for. NULL, or a malloc'ed message. */
static char *findTargets(const MslOptions *options, const MslTarget *targets[], uint32_t *count) {
  char *message = NULL;
  *count = options->targetCount;
  if (*count > MslMaxTargets) return mslFormat("error: a library is for at most %d targets\n", MslMaxTargets);
  for (uint32_t i = 0; i < *count; i++) {
    targets[i] = mslTargetNamed(options->targets[i]);
    if (!targets[i])
      return mslFormat("error: '%s' is no target: there are %s\n", options->targets[i], mslTargetNames());
  }
  if (*count > 0) return NULL;
  *count = 1;
  targets[0] = mslTargetOfMachine(&message);
  return targets[0] || message ? message : mslFormat("error: out of memory\n");
}

static bool makeSlice(MslCompilation *c, const MslTarget *target, MslText *bytes, bool isFirst, MslText *messages) {
  const bool isCuda = target->device == MslDeviceCuda;
  c->target = target;
  bool ok = runStep(c, isCuda ? mslCompileForCuda : mslCompileForCpu);
  takeMessages(c, messages, isFirst || !ok);
  ok = ok && (isCuda ? mslLinkForCuda : mslLinkForCpu)(c, bytes, messages);
  return ok && !bytes->failed;
}

bool mslCompile(const MslInput *inputs, uint32_t count, const MslOptions *options, MslText *image,
                MslText *messages) {
  static const MslOptions none;
  MslCompilation c = {.options = options ? options : &none, .count = count};
  const MslTarget *targets[MslMaxTargets];
  uint32_t targetCount;
  MslSlice slices[MslMaxTargets];
  MslText bytes[MslMaxTargets] = {0};
  char *missing = findTargets(c.options, targets, &targetCount);
  if (!missing) missing = mslToolchainFind(&c.toolchain);
  if (missing) mslTextPuts(messages, missing);
  bool ok = !missing;
  free(missing);
  if (ok) {
    ok = readSources(&c, inputs, messages);
    takeMessages(&c, messages, true);
  }
  for (uint32_t i = 0; ok && i < targetCount; i++) {
    ok = makeSlice(&c, targets[i], &bytes[i], i == 0, messages);
    slices[i] = (MslSlice){.target = targets[i], .bytes = bytes[i].bytes, .length = bytes[i].length};
  }
  if (ok) mslImageWrite(image, slices, targetCount);
  ok = ok && !image->failed;
  if (!ok && messages->length == 0) mslTextPuts(messages, "error: out of memory\n");
  removeFiles(&c);
  for (uint32_t i = 0; i < MslMaxTargets; i++) mslTextFree(&bytes[i]);
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
