/*
 * native_levels: which level of native kernels is chosen, by what the machine has and by BUN_METAL_CPU_NATIVE. It prints the
 * level, so that whoever knows the processor can hold that to it.
 */
#include "cpu/native/levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

#define EXPECT(condition, ...)                                                                                         \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      failures++;                                                                                                      \
      printf("%s:%d: ", __FILE__, __LINE__);                                                                           \
      printf(__VA_ARGS__);                                                                                             \
      printf("\n");                                                                                                    \
    }                                                                                                                  \
  } while (0)

/** What a process has chosen: "" for nothing. */
typedef struct Choice {
  char level[64], problem[256];
} Choice;

/** That of a process of its own, as it is chosen once; `wanted` NULL: the variable is not set. */
static Choice choose(const char *wanted) {
  Choice choice = {"", ""};
  int ends[2];
  if (pipe(ends) != 0) abort();
  const pid_t child = fork();
  if (child == 0) {
    if (wanted) setenv("BUN_METAL_CPU_NATIVE", wanted, 1);
    else unsetenv("BUN_METAL_CPU_NATIVE");
    snprintf(choice.level, sizeof choice.level, "%s", nativeLevelName() ? nativeLevelName() : "");
    snprintf(choice.problem, sizeof choice.problem, "%s", nativeProblem() ? nativeProblem() : "");
    _exit(write(ends[1], &choice, sizeof choice) == sizeof choice ? 0 : 1);
  }
  close(ends[1]);
  int status = 1;
  const bool isRead = child > 0 && read(ends[0], &choice, sizeof choice) == sizeof choice;
  close(ends[0]);
  if (!isRead || waitpid(child, &status, 0) != child || status != 0) abort();
  return choice;
}

int main(void) {
  const NativeLevel *best = NULL;
  for (uint32_t i = 0; nativeLevels[i]; i++) {
    const NativeLevel *level = nativeLevels[i];
    const bool isThere = level->isThere();
    if (isThere) {
      EXPECT(i == 0 || best == nativeLevels[i - 1], "%s is there without the level before it", level->name);
      best = level;
    }
    const Choice named = choose(level->name);
    EXPECT(strcmp(named.level, isThere ? level->name : "") == 0, "%s gives '%s'", level->name, named.level);
    EXPECT(isThere ? !*named.problem : strstr(named.problem, level->name) && strstr(named.problem, "this machine lacks"),
           "the problem with %s is '%s'", level->name, named.problem);
    EXPECT(strstr(choose("avx3").problem, level->name), "%s is not among the levels that can be named", level->name);
  }

  const Choice unset = choose(NULL), empty = choose(""), msl = choose("msl"), unknown = choose("avx3");
  EXPECT(strcmp(unset.level, best ? best->name : "") == 0 && !*unset.problem, "by itself '%s', '%s'", unset.level, unset.problem);
  EXPECT(strcmp(empty.level, unset.level) == 0 && !*empty.problem, "of nothing '%s', '%s'", empty.level, empty.problem);
  EXPECT(!*msl.level && !*msl.problem, "msl gives '%s', '%s'", msl.level, msl.problem);
  EXPECT(!*unknown.level && strstr(unknown.problem, "'avx3', which is none of: msl"), "avx3 gives '%s', '%s'", unknown.level,
         unknown.problem);
  printf("%s native kernels of level %s\n", failures ? "FAIL" : "ok  ", unset.level);
  return failures ? 1 : 0;
}
