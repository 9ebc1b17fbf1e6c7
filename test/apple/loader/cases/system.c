/* Pointers in data, and libSystem with Darwin's structures, flags and error numbers. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CASE(name) __attribute__((visibility("default"))) const char *case_##name(void)
#define EXPECT(condition) \
  if (!(condition)) return "system.c: not so: " #condition

static int numbers[] = {1, 2, 3, 4};
static int *const third = &numbers[2];
static int *cursor = &numbers[3];
static const char *const words[] = {"zero", "one", "two"};
static size_t (*const measures[])(const char *) = {strlen, NULL};
static int wasInitialised;

__attribute__((constructor)) static void initialise(void) {
  wasInitialised = numbers[0];
}

CASE(pointersInDataAreRight) {
  volatile int two = 2;
  EXPECT(*third == 3 && *cursor == 4 && strcmp(words[two], "two") == 0 && measures[0](words[two - 1]) == 3);
  EXPECT(wasInitialised == 1);
  return NULL;
}

CASE(filesHaveDarwinsNumbers) {
  struct stat information;
  EXPECT(stat("/no/such/file", &information) != 0 && errno == ENOENT);
  EXPECT(strstr(strerror(errno), "No such file") != NULL);
  EXPECT(stat("/", &information) == 0 && S_ISDIR(information.st_mode));
  int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  EXPECT(file >= 0 && fstat(file, &information) == 0);
  EXPECT(S_ISREG(information.st_mode) && information.st_size > 4096);
  uint8_t *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  EXPECT(bytes != MAP_FAILED && bytes[1] == 'E' && bytes[2] == 'L');
  bytes[0] = 0;
  EXPECT(munmap(bytes, 4096) == 0 && close(file) == 0);
  EXPECT(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED && errno == EBADF);
  EXPECT(getpagesize() >= 4096);
  return NULL;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *count(void *unused) {
  (void)unused;
  for (int i = 0; i < 10000; i++) {
    pthread_mutex_lock(&lock);
    counter++;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

CASE(staticMutexesWork) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) EXPECT(pthread_create(&threads[i], NULL, count, NULL) == 0);
  for (int i = 0; i < 4; i++) EXPECT(pthread_join(threads[i], NULL) == 0);
  EXPECT(counter == 40000);
  return NULL;
}

CASE(whatWasNotInitialisedIsRefused) {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  memset(&mutex, 0, sizeof mutex);
  memset(&condition, 0, sizeof condition);
  EXPECT(pthread_mutex_lock(&mutex) == EINVAL);
  EXPECT(pthread_cond_broadcast(&condition) == EINVAL);
  EXPECT(pthread_mutex_init(&mutex, NULL) == 0 && pthread_mutex_lock(&mutex) == 0);
  EXPECT(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_destroy(&mutex) == 0);
  EXPECT(pthread_mutex_lock(&mutex) == EINVAL);
  return NULL;
}
