/* fault.c: see fault.h. */
#include "fault.h"

#if defined(__x86_64__)

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

static struct sigaction previous;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/** Bytes of the DIV or IDIV at `code` (opcodes F6 and F7, /6 and /7), and its operand size; 0 for anything else. */
static uint32_t divisionLength(const uint8_t *code, uint32_t *operandBytes) {
  uint32_t i = 0;
  *operandBytes = 4;
  for (; i < 8; i++) {
    const uint8_t b = code[i];
    if (b == 0x66)
      *operandBytes = 2;
    else if (b >= 0x48 && b <= 0x4f)
      *operandBytes = 8; /* REX.W */
    else if (!((b >= 0x40 && b <= 0x47) || b == 0x67 || b == 0x2e || b == 0x3e || b == 0xf2 || b == 0xf3))
      break;
  }
  if (code[i] == 0xf6)
    *operandBytes = 1;
  else if (code[i] != 0xf7)
    return 0;
  const uint8_t modrm = code[i + 1], mod = modrm >> 6, rm = modrm & 7;
  if ((modrm >> 3 & 7) < 6) return 0;
  uint32_t length = i + 2;
  if (mod == 3) return length;
  uint8_t base = rm;
  if (rm == 4) base = code[length++] & 7; /* SIB */
  if (mod == 1)
    length += 1;
  else if (mod == 2 || base == 5)
    length += 4;
  return length;
}

/** Whether code belongs to a compiled library: those are opened through a file descriptor (library.c). */
static bool isShaderCode(const void *address) {
  Dl_info info;
  return dladdr(address, &info) != 0 && info.dli_fname && strncmp(info.dli_fname, "/proc/self/fd/", 14) == 0;
}

static void clear(greg_t *value, uint32_t bytes) {
  if (bytes >= 4)
    *value = 0; /* 32-bit results clear the upper half */
  else
    *value &= ~(greg_t)0xffff;
}

static void handle(int signal, siginfo_t *info, void *context) {
  ucontext_t *c = context;
  greg_t *registers = c->uc_mcontext.gregs;
  const uint8_t *code = (const uint8_t *)registers[REG_RIP];
  uint32_t bytes = 0;
  const uint32_t length = isShaderCode(code) ? divisionLength(code, &bytes) : 0;
  if (length) {
    clear(&registers[REG_RAX], bytes);
    if (bytes > 1) clear(&registers[REG_RDX], bytes);
    registers[REG_RIP] += length;
    return;
  }
  if (previous.sa_flags & SA_SIGINFO)
    previous.sa_sigaction(signal, info, context);
  else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
    previous.sa_handler(signal);
  else
    sigaction(SIGFPE, &previous, NULL); /* the fault repeats, without us */
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(SIGFPE, &action, &previous);
}

void cpuFaultCatchDivisions(void) { pthread_once(&once, install); }

#else

/* AArch64 divides by zero without a fault. */
void cpuFaultCatchDivisions(void) {}

#endif
