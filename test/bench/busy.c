// A process that keeps one processor busy until whoever started it is gone: the load of `make bench ARGS=--load`.
#include <stdint.h>
#include <unistd.h>

int main(void) {
  const pid_t parent = getppid();
  volatile uint64_t count = 0;
  while (getppid() == parent)
    for (int i = 0; i < 10000000; i++) count += 1;
  return 0;
}
