/*
 * shader_entry.c: the code behind a shader for each kernel that the host can find: how the device enters it, and a
 * description of its arguments. What it names is in metal/library/entry.h of the device.
 */
#include "shader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void mslPutMarker(const MslShader *shader, MslText *out, uint32_t i) {
  if (i >= shader->tokens.count) return;
  const MslToken *t = &shader->tokens.tokens[i];
  mslTextPrint(out, "\n# %u \"", t->line);
  for (const char *c = t->file < shader->tokens.fileCount ? shader->tokens.files[t->file] : "source"; *c; c++) {
    if (*c == '"' || *c == '\\') mslTextAppend(out, "\\", 1);
    mslTextAppend(out, c, 1);
  }
  mslTextPuts(out, "\"\n");
}

static const char *const sources[] = {"fromBuffer", "fromThreadgroup", "fromValue"};

/** ", Tag{source, index}" for each argument; NamedTag with its name for `named`. */
static void putTags(MslShader *shader, MslText *out, const MslKernel *kernel, bool named) {
  for (uint32_t i = 0; i < kernel->argumentCount; i++) {
    const MslArgument *argument = &kernel->arguments[i];
    mslTextPrint(out, ", metal::detail::%s{metal::detail::%s, %s", named ? "NamedTag" : "Tag",
                 sources[argument->source], argument->index ? argument->index : "0");
    char *name = named ? mslWord(shader, argument->name) : NULL;
    if (named) mslTextPrint(out, ", \"%s\"", name ? name : "");
    free(name);
    mslTextPuts(out, "}");
  }
  if (kernel->threadgroupVariables)
    mslTextPrint(out, ", metal::detail::%s{metal::detail::fromArena, 0%s}", named ? "NamedTag" : "Tag",
                 named ? ", \"\"" : "");
}

/** "most threads, bytes of threadgroup memory": what the kernel's layout function knows. */
static void putLimits(MslText *out, const MslEntry *entry, const MslKernel *kernel, const char *scope) {
  if (kernel->maxThreadsTo)
    mslTextPrint(out, "%sbm_layout_%u%s(-2), ", scope, entry->kernel, entry->templateArguments);
  else
    mslTextPuts(out, "0, ");
  if (kernel->threadgroupVariables)
    mslTextPrint(out, "%sbm_layout_%u%s(-1)", scope, entry->kernel, entry->templateArguments);
  else
    mslTextPuts(out, "0");
}

/** Its entry, its description, its line in the library's table. */
static void putCpuEntry(MslShader *shader, MslText *out, uint32_t n, const char *function) {
  const MslEntry *entry = &shader->entries[n];
  const MslKernel *kernel = &shader->kernels[entry->kernel];
  const bool perThread = mslShaderSynchronises(shader, entry->kernel);
  mslPutMarker(shader, out, entry->token);
  mslTextPrint(out, "static void bm_entry_%u(const CpuLaunch *launch%s) { metal::detail::%s(%s, *launch%s", n,
               perThread ? ", const CpuThread *lane" : "", perThread ? "runThread" : "runThreadgroup", function,
               perThread ? ", *lane" : "");
  putTags(shader, out, kernel, false);
  mslTextPuts(out, "); }");

  mslPutMarker(shader, out, entry->token);
  mslTextPrint(out, "static void bm_describe_%u(CpuKernelInfo *info) { metal::detail::describeKernel(%s, info, ", n,
               function);
  putLimits(out, entry, kernel, shader->functions[kernel->function].scope);
  putTags(shader, out, kernel, true);
  mslTextPuts(out, "); }");

  mslPutMarker(shader, out, entry->token);
  mslTextPrint(out,
               "static __constant char bm_name_%u[] = \"%s\"; static __global const CpuKernel bm_kernel_%u "
               "__attribute__((section(\"bun_metal_kernels\"), used)) = {(ulong)&bm_name_%u, (ulong)&bm_describe_%u, "
               "(ulong)&bm_entry_%u, %d};",
               n, entry->hostName, n, n, n, n, perThread);
}

char *mslEntryName(uint32_t n, const char *hostName) {
  char *name = mslFormat("bm_%u_%s", n, hostName);
  for (char *c = name; c && *c; c++)
    if (!isalnum((unsigned char)*c)) *c = '_';
  return name;
}

/** Its entry, and a table of what it takes, which is read from clang's output. */
static void putCudaEntry(MslShader *shader, MslText *out, uint32_t n, const char *function) {
  const MslEntry *entry = &shader->entries[n];
  const MslKernel *kernel = &shader->kernels[entry->kernel];
  char *name = mslEntryName(n, entry->hostName);
  mslPutMarker(shader, out, entry->token);
  mslTextPrint(out,
               "extern \"C\" __attribute__((nvptx_kernel)) void %s(CudaLaunch launch) { "
               "metal::detail::runKernel(%s, launch",
               name ? name : "", function);
  if (!name) out->failed = true;
  free(name);
  putTags(shader, out, kernel, false);
  mslTextPuts(out, "); }");

  mslPutMarker(shader, out, entry->token);
  mslTextPrint(out,
               "extern \"C\" __global const CudaKernelInfo bm_info_%u __attribute__((used)) = "
               "metal::detail::describeKernel(%s, ",
               n, function);
  putLimits(out, entry, kernel, shader->functions[kernel->function].scope);
  putTags(shader, out, kernel, false);
  mslTextPuts(out, ");");
}

void mslWriteEntries(MslShader *shader, MslDevice device, MslText *out) {
  for (uint32_t n = 0; n < shader->entryCount; n++) {
    const MslEntry *entry = &shader->entries[n];
    const MslFunction *f = &shader->functions[shader->kernels[entry->kernel].function];
    char *word = mslWord(shader, f->name);
    char *function = word ? mslFormat("%s%s%s", f->scope, word, entry->templateArguments) : NULL;
    if (!function)
      shader->outOfMemory = true;
    else if (device == MslDeviceCuda)
      putCudaEntry(shader, out, n, function);
    else
      putCpuEntry(shader, out, n, function);
    free(word);
    free(function);
  }
}
