/* process.c: see process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { CompilerSeconds = 300, ErrorLimit = 1 << 20 };
static const rlim_t CompilerMemory = (rlim_t)8 << 30;

/** Reads what is there. Returns false at the end of the stream or when the limit was passed. */
static bool drain(int fd, MslText *text, size_t limit, bool *over) {
  char bytes[16384];
  const ssize_t n = read(fd, bytes, sizeof bytes);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  if (text->length + (size_t)n > limit) {
    *over = true;
    return true;
  }
  mslTextAppend(text, bytes, (size_t)n);
  return true;
}

/** A shader can make the compiler loop or eat memory (constexpr, templates, #include of a device file). */
static void bound(pid_t child) {
  const struct rlimit seconds = {CompilerSeconds, CompilerSeconds}, memory = {CompilerMemory, CompilerMemory};
  const struct rlimit none = {0, 0};
  prlimit(child, RLIMIT_CPU, &seconds, NULL);
  prlimit(child, RLIMIT_AS, &memory, NULL);
  prlimit(child, RLIMIT_CORE, &none, NULL);
}

static int awaitExit(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/** Starts the child with pipes for its output and a default signal state (our threads block signals). */
static int start(pid_t *child, char *const argv[], int out, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  const int error = posix_spawn(child, argv[0], &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

void mslProcessRun(MslProcess *process, char *const argv[], size_t limit) {
  *process = (MslProcess){.status = -1};
  int out[2], errors[2];
  if (pipe2(out, O_CLOEXEC) != 0) {
    mslTextPrint(&process->errors, "cannot make a pipe: %s", strerror(errno));
    return;
  }
  if (pipe2(errors, O_CLOEXEC) != 0) {
    mslTextPrint(&process->errors, "cannot make a pipe: %s", strerror(errno));
    close(out[0]);
    close(out[1]);
    return;
  }
  pid_t child = 0;
  const int error = start(&child, argv, out[1], errors[1]);
  close(out[1]);
  close(errors[1]);
  if (error != 0) {
    mslTextPrint(&process->errors, "cannot start '%s': %s", argv[0], strerror(error));
  } else {
    bound(child);
    struct pollfd fds[2] = {{.fd = out[0], .events = POLLIN}, {.fd = errors[0], .events = POLLIN}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
      if (poll(fds, 2, -1) < 0) {
        if (errno == EINTR) continue;
        break;
      }
      if (fds[0].revents && !drain(fds[0].fd, &process->out, limit, &process->truncated)) fds[0].fd = -1;
      bool tooManyErrors = false;
      if (fds[1].revents && !drain(fds[1].fd, &process->errors, ErrorLimit, &tooManyErrors)) fds[1].fd = -1;
      if (process->truncated) {
        kill(child, SIGKILL);
        break;
      }
    }
    process->status = awaitExit(child);
  }
  close(out[0]);
  close(errors[0]);
}

void mslProcessFree(MslProcess *process) {
  mslTextFree(&process->out);
  mslTextFree(&process->errors);
}
