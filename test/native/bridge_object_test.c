/* Handles, devices, buffers, libraries and pipelines through the C ABI, and what misuse of each says. */
#include "bridge_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static bm_handle device;

static void staleAndForeignHandlesAreErrors(void) {
  bm_handle buffer = bm_buffer_new(device, 64, BM_STORAGE_SHARED);
  CHECK(buffer != 0);
  CHECK_FAILS(bm_pipeline_new(buffer, "x") == 0, BM_ERROR_HANDLE, "is a buffer, not a library");
  CHECK_OK(bm_release(buffer));
  CHECK_FAILS(bm_release(buffer) != BM_OK, BM_ERROR_HANDLE, "was released before");
  CHECK_FAILS(bm_buffer_contents(buffer) == NULL, BM_ERROR_HANDLE, "was released before");
  CHECK_FAILS(bm_release(0) != BM_OK, BM_ERROR_HANDLE, "Handle 0");
  CHECK_FAILS(bm_release(BM_DYNAMIC_WORDS) != BM_OK, BM_ERROR_HANDLE, "never existed");
  CHECK_FAILS(isnan(bm_buffer_length(12345)), BM_ERROR_HANDLE, "never existed");
  for (uint32_t i = 0; i < 100000; i++) CHECK(bm_release(i * 2654435761u | 0xFFF00000u) == BM_ERROR_HANDLE);
}

static int compareHandles(const void *a, const void *b) {
  bm_handle left = *(const bm_handle *)a, right = *(const bm_handle *)b;
  return left < right ? -1 : left > right;
}

/* More uses than a slot has generations: no handle may come again, and none that is old may ever work. */
static void handlesNeverMeanASecondObject(void) {
  enum { Count = 20000 };
  bm_handle *old = malloc(Count * sizeof *old);
  for (int i = 0; i < Count; i++) {
    old[i] = bm_device_open(0, 0);
    CHECK(old[i] != 0);
    CHECK_OK(bm_release(old[i]));
  }
  bm_handle live = bm_device_open(0, 0);
  double number;
  for (int i = 0; i < Count; i++) CHECK(bm_device_numbers(old[i], &number, 1) == BM_ERROR_HANDLE);
  CHECK_OK(bm_release(live));
  qsort(old, Count, sizeof *old, compareHandles);
  for (int i = 1; i < Count; i++) CHECK(old[i] != old[i - 1]);
  free(old);
}

static void manyBuffersAreAliveAtOnce(void) {
  enum { Count = 10000 };
  bm_handle *all = malloc(Count * sizeof *all);
  Counts before = readCounts();
  for (int i = 0; i < Count; i++) all[i] = bm_buffer_new(device, 16, BM_STORAGE_SHARED);
  Counts during = readCounts();
  CHECK_NUMBER(during.handles[BM_KIND_BUFFER] - before.handles[BM_KIND_BUFFER], Count);
  CHECK_NUMBER(during.statistics[BM_STATISTIC_BUFFER_BYTES] - before.statistics[BM_STATISTIC_BUFFER_BYTES], Count * 16);
  CHECK(during.statistics[BM_STATISTIC_PEAK_BUFFER_BYTES] >= during.statistics[BM_STATISTIC_BUFFER_BYTES]);
  for (int i = 0; i < Count; i++) CHECK_OK(bm_release(all[i]));
  free(all);
}

static void devicesTellOfThemselves(void) {
  uint32_t count = 0;
  CHECK_OK(bm_device_count(&count));
  CHECK(count >= 1);
  CHECK_FAILS(bm_device_count(NULL) != BM_OK, BM_ERROR_ARGUMENT, "NULL");
  CHECK_FAILS(bm_device_open(count, 0) == 0, BM_ERROR_NOT_FOUND, "There is no device");
  CHECK_FAILS(bm_device_open(0, BM_FEATURE_ALL + 1) == 0, BM_ERROR_ARGUMENT, "Features \"0x40\"");
  bm_handle bare = bm_device_open(0, BM_FEATURE_ALL);
  double features[2][BM_DEVICE_NUMBER_COUNT];
  CHECK_OK(bm_device_numbers(device, features[0], BM_DEVICE_NUMBER_COUNT));
  CHECK_OK(bm_device_numbers(bare, features[1], BM_DEVICE_NUMBER_COUNT));
  CHECK((uint32_t)features[0][BM_DEVICE_FEATURES] & BM_FEATURE_CONCURRENT_DISPATCH);
  CHECK_NUMBER(features[1][BM_DEVICE_FEATURES], 0);
  CHECK_OK(bm_release(bare));
  char text[256], cut[4] = "zzz";
  uint32_t length = bm_device_text(device, BM_DEVICE_NAME, text, sizeof text);
  CHECK(length > 0 && length == strlen(text));
  CHECK_NUMBER(bm_device_text(device, BM_DEVICE_NAME, cut, 3), length);
  CHECK(strlen(cut) == 2 && memcmp(cut, text, 2) == 0);
  CHECK_NUMBER(bm_device_text(device, BM_DEVICE_NAME, NULL, 10), length);
  CHECK(bm_device_text(device, BM_DEVICE_ARCHITECTURE, text, sizeof text) > 0);
  CHECK_FAILS(bm_device_text(device, 9, text, sizeof text) == 0, BM_ERROR_ARGUMENT, "no text");
  double numbers[BM_DEVICE_NUMBER_COUNT + 1] = {[BM_DEVICE_NUMBER_COUNT] = 77};
  CHECK_OK(bm_device_numbers(device, numbers, 1000));
  CHECK_NUMBER(numbers[BM_DEVICE_NUMBER_COUNT], 77);
  CHECK(numbers[BM_DEVICE_MAX_BUFFER_LENGTH] > 0 && numbers[BM_DEVICE_MAX_THREADS_X] >= 32);
  CHECK_NUMBER(numbers[BM_DEVICE_PAGE_SIZE], getpagesize());
  CHECK_FAILS(bm_device_numbers(device, NULL, 4) != BM_OK, BM_ERROR_ARGUMENT, "NULL");
}

static void absurdBufferSizesAreErrors(void) {
  CHECK_FAILS(bm_buffer_new(device, 0, 0) == 0, BM_ERROR_RANGE, "\"0\" bytes");
  CHECK_FAILS(bm_buffer_new(device, -1, 0) == 0, BM_ERROR_ARGUMENT, "whole number");
  CHECK_FAILS(bm_buffer_new(device, 1.5, 0) == 0, BM_ERROR_ARGUMENT, "whole number");
  CHECK_FAILS(bm_buffer_new(device, NAN, 0) == 0, BM_ERROR_ARGUMENT, "whole number");
  CHECK_FAILS(bm_buffer_new(device, INFINITY, 0) == 0, BM_ERROR_RANGE, "2^53");
  CHECK_FAILS(bm_buffer_new(device, 1e300, 0) == 0, BM_ERROR_RANGE, "2^53");
  CHECK_FAILS(bm_buffer_new(device, 9007199254740992.0, 0) == 0, BM_ERROR_MEMORY, "largest");
  CHECK_FAILS(bm_buffer_new(device, 16, 2) == 0, BM_ERROR_ARGUMENT, "no storage \"2\"");
  CHECK_FAILS(bm_buffer_wrap(device, NULL, 4096) == 0, BM_ERROR_ARGUMENT, "page");
}

static void sharedBuffersAreZeroedAndPrivateOnesHidden(void) {
  bm_handle shared = bm_buffer_new(device, 1001, BM_STORAGE_SHARED);
  bm_handle hidden = bm_buffer_new(device, 1001, BM_STORAGE_PRIVATE);
  const uint8_t *bytes = bm_buffer_contents(shared);
  for (int i = 0; i < 1001; i++) CHECK(bytes[i] == 0);
  CHECK_NUMBER(bm_buffer_length(shared), 1001);
  CHECK_FAILS(bm_buffer_contents(hidden) == NULL, BM_ERROR_UNSUPPORTED, "private");
  bm_release(shared);
  bm_release(hidden);
}

static void wrappedMemoryIsTheCallersOwn(void) {
  size_t page = (size_t)getpagesize();
  uint8_t *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  bm_handle buffer = bm_buffer_wrap(device, memory, 2.0 * page);
  CHECK(bm_buffer_contents(buffer) == memory);
  CHECK_FAILS(bm_buffer_wrap(device, memory + 8, page) == 0, BM_ERROR_ARGUMENT, "page");
  CHECK_FAILS(bm_buffer_wrap(device, memory, page + 4.0) == 0, BM_ERROR_ARGUMENT, "page");
  CHECK_OK(bm_release(buffer));
  memory[0] = 1; // still mapped
  munmap(memory, 2 * page);
}

static void writeFile(const char *path, size_t length) {
  FILE *file = fopen(path, "wb");
  for (size_t i = 0; i < length; i++) fputc((int)(i * 7 % 251), file);
  fclose(file);
}

static void filesAreMappedWithTheirTails(void) {
  size_t page = (size_t)getpagesize();
  char path[] = P_tmpdir "/bridge_object_test_XXXXXX";
  close(mkstemp(path));
  writeFile(path, page + 123);
  bm_handle whole = bm_buffer_map(device, path, 0, 0), tail = bm_buffer_map(device, path, page, 0),
            part = bm_buffer_map(device, path, page, 100);
  CHECK_NUMBER(bm_buffer_length(whole), page + 123);
  CHECK_NUMBER(bm_buffer_length(tail), 123);
  CHECK_NUMBER(bm_buffer_length(part), 100);
  const uint8_t *bytes = bm_buffer_contents(tail);
  for (size_t i = 0; i < 123; i++) CHECK(bytes[i] == (page + i) * 7 % 251);
  ((uint8_t *)bm_buffer_contents(whole))[0] = 99; // private: the file stays as it is
  CHECK_FAILS(bm_buffer_map(device, path, page, 124) == 0, BM_ERROR_RANGE, "outside of file");
  CHECK_FAILS(bm_buffer_map(device, path, 2.0 * page, 0) == 0, BM_ERROR_RANGE, "outside of file");
  CHECK_FAILS(bm_buffer_map(device, path, 12, 0) == 0, BM_ERROR_ARGUMENT, "page");
  CHECK_FAILS(bm_buffer_map(device, path, 0, 9007199254740992.0) == 0, BM_ERROR_RANGE, "outside of file");
  CHECK_FAILS(bm_buffer_map(device, path, 0, -4) == 0, BM_ERROR_ARGUMENT, "whole number");
  FILE *file = fopen(path, "rb");
  CHECK_NUMBER(fgetc(file), 0);
  fclose(file);
  writeFile(path, 0);
  CHECK_FAILS(bm_buffer_map(device, path, 0, 0) == 0, BM_ERROR_ARGUMENT, "empty");
  unlink(path);
  CHECK_FAILS(bm_buffer_map(device, path, 0, 0) == 0, BM_ERROR_NOT_FOUND, "No such file");
  CHECK_FAILS(bm_buffer_map(device, "/", 0, 0) == 0, BM_ERROR_ARGUMENT, "directory");
  CHECK_FAILS(bm_buffer_map(device, "/dev/null", 0, 0) == 0, BM_ERROR_ARGUMENT, "regular");
  CHECK_FAILS(bm_buffer_map(device, NULL, 0, 0) == 0, BM_ERROR_ARGUMENT, "NULL");
  bm_release(whole);
  bm_release(tail);
  bm_release(part);
}

/* Every head and tail within a word, in shared and in private memory, against plain C on a mirror. */
static void transfersMoveAnyByteRange(void) {
  enum { Length = 64 };
  bm_handle queue = bm_queue_new(device, NULL);
  for (uint32_t storages = 0; storages < 4; storages++) {
    bm_handle a = bm_buffer_new(device, Length - 1, storages & 1), b = bm_buffer_new(device, Length - 1, storages >> 1);
    uint8_t mirrorA[Length - 1], mirrorB[Length - 1], seen[Length - 1];
    for (int i = 0; i < Length - 1; i++) mirrorA[i] = (uint8_t)(i + 1);
    memset(mirrorB, 0xEE, sizeof mirrorB);
    CHECK_OK(bm_buffer_upload(queue, a, 0, mirrorA, sizeof mirrorA));
    CHECK_OK(bm_buffer_fill(queue, b, 0, sizeof mirrorB, 0xEE));
    for (uint32_t step = 0; step < 256; step++) {
      uint32_t from = step % 4 + 8, to = step / 4 % 4 + 16, length = step / 16;
      CHECK_OK(bm_buffer_copy(queue, a, from, b, to, length));
      memcpy(mirrorB + to, mirrorA + from, length);
      CHECK_OK(bm_buffer_fill(queue, b, 40 + step % 4, step / 4 % 16, step & 0xFF));
      memset(mirrorB + 40 + step % 4, step & 0xFF, step / 4 % 16);
      CHECK_OK(bm_buffer_upload(queue, a, step % 5, &step, step % 5));
      memcpy(mirrorA + step % 5, &step, step % 5 < 4 ? step % 5 : 4);
    }
    memset(seen, 0, sizeof seen);
    CHECK_OK(bm_buffer_download(queue, b, 0, seen, sizeof seen));
    CHECK(memcmp(seen, mirrorB, sizeof seen) == 0);
    CHECK_OK(bm_buffer_download(queue, b, 13, seen, 5));
    CHECK(memcmp(seen, mirrorB + 13, 5) == 0);
    bm_release(a);
    bm_release(b);
  }
  bm_release(queue);
}

/* Longer than a staging buffer, at odd offsets. */
static void longPrivateTransfersGoInPieces(void) {
  size_t length = (20u << 20) + 7;
  uint8_t *bytes = malloc(length), *back = calloc(1, length);
  for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)(i * 31 >> 3);
  bm_handle queue = bm_queue_new(device, NULL);
  bm_handle a = bm_buffer_new(device, length + 3, BM_STORAGE_PRIVATE),
            b = bm_buffer_new(device, length + 6, BM_STORAGE_PRIVATE);
  CHECK_OK(bm_buffer_upload(queue, a, 3, bytes, length));
  CHECK_OK(bm_buffer_copy(queue, a, 3, b, 6, length));
  CHECK_OK(bm_buffer_download(queue, b, 6, back, length));
  CHECK(memcmp(bytes, back, length) == 0);
  bm_release(a);
  bm_release(b);
  bm_release(queue);
  free(bytes);
  free(back);
}

static void transfersOutsideOfABufferAreErrors(void) {
  bm_handle queue = bm_queue_new(device, NULL), buffer = bm_buffer_new(device, 100, BM_STORAGE_SHARED);
  uint8_t bytes[200];
  CHECK_FAILS(bm_buffer_fill(queue, buffer, 90, 11, 0) != BM_OK, BM_ERROR_RANGE, "outside");
  CHECK_FAILS(bm_buffer_fill(queue, buffer, 9007199254740992.0, 9007199254740992.0, 0) != BM_OK, BM_ERROR_RANGE,
              "outside");
  CHECK_FAILS(bm_buffer_fill(queue, buffer, 0, 4, 256) != BM_OK, BM_ERROR_ARGUMENT, "byte");
  CHECK_FAILS(bm_buffer_upload(queue, buffer, 0, bytes, 101) != BM_OK, BM_ERROR_RANGE, "outside");
  CHECK_FAILS(bm_buffer_upload(queue, buffer, 0, NULL, 4) != BM_OK, BM_ERROR_ARGUMENT, "NULL");
  CHECK_FAILS(bm_buffer_download(queue, buffer, 1, bytes, 100) != BM_OK, BM_ERROR_RANGE, "outside");
  CHECK_FAILS(bm_buffer_download(queue, buffer, 0, NULL, 4) != BM_OK, BM_ERROR_ARGUMENT, "NULL");
  CHECK_FAILS(bm_buffer_copy(queue, buffer, 0, buffer, 4, 8) != BM_OK, BM_ERROR_ARGUMENT, "overlap");
  CHECK_FAILS(bm_buffer_copy(queue, buffer, 0, buffer, 60, 50) != BM_OK, BM_ERROR_RANGE, "outside");
  CHECK_FAILS(bm_buffer_copy(queue, buffer, NAN, buffer, 60, 50) != BM_OK, BM_ERROR_ARGUMENT, "whole number");
  CHECK_FAILS(bm_buffer_copy(buffer, buffer, 0, buffer, 60, 5) != BM_OK, BM_ERROR_HANDLE, "not a queue");
  CHECK_OK(bm_buffer_fill(queue, buffer, 100, 0, 0));
  CHECK_OK(bm_buffer_upload(queue, buffer, 0, NULL, 0));
  bm_release(buffer);
  bm_release(queue);
}

static void librariesListTheirFunctions(void) {
  bm_handle library = compileKernels(device);
  char names[256];
  uint32_t length = bm_library_functions(library, names, sizeof names);
  CHECK(length == strlen(names));
  CHECK(strstr(names, "scale_add") && strstr(names, "increment") && strstr(names, "group_sum"));
  bm_handle pipeline = bm_pipeline_new(library, "increment");
  double numbers[BM_PIPELINE_NUMBER_COUNT];
  CHECK_OK(bm_pipeline_numbers(pipeline, numbers, BM_PIPELINE_NUMBER_COUNT));
  CHECK_NUMBER(numbers[BM_PIPELINE_MAX_THREADS], 512);
  CHECK(numbers[BM_PIPELINE_EXECUTION_WIDTH] >= 4);
  CHECK_FAILS(bm_pipeline_new(library, "decrement") == 0, BM_ERROR_NOT_FOUND, "decrement");
  CHECK_FAILS(bm_pipeline_new(library, NULL) == 0, BM_ERROR_ARGUMENT, "NULL");
  CHECK_FAILS(bm_pipeline_new(library, "\xff\xfe") == 0, BM_ERROR_ARGUMENT, "UTF-8");
  CHECK_OK(bm_release(library)); // the pipeline stands on its own
  CHECK_OK(bm_pipeline_numbers(pipeline, numbers, 1));
  bm_release(pipeline);
}

static void badSourcesAndFilesSayWhy(void) {
  const char *bad = "#include <metal_stdlib>\nusing namespace metal;\nkernel void k(device float *x [[buffer(0)]]) { "
                    "x[0] = undeclared_identifier; }\n";
  CHECK_FAILS(bm_library_from_source(device, bad, (double)strlen(bad), "bad\".metal") == 0, BM_ERROR_COMPILE,
              "undeclared_identifier");
  CHECK_FAILS(bm_library_from_source(device, NULL, 10, "x") == 0, BM_ERROR_ARGUMENT, "NULL");
  CHECK_FAILS(bm_library_from_source(device, bad, -1, "x") == 0, BM_ERROR_ARGUMENT, "whole number");
  CHECK_FAILS(bm_library_from_source(device, "\xff\xff", 2, NULL) == 0, BM_ERROR_ARGUMENT, "UTF-8");
  CHECK_FAILS(bm_library_from_file(device, "/nowhere/x.metallib") == 0, BM_ERROR_NOT_FOUND, "No such file");
  CHECK_FAILS(bm_library_from_file(device, "/") == 0, BM_ERROR_ARGUMENT, "regular");
  CHECK_FAILS(bm_library_from_file(device, NULL) == 0, BM_ERROR_ARGUMENT, "NULL");
  char path[] = P_tmpdir "/bridge_object_test_XXXXXX";
  close(mkstemp(path));
  writeFile(path, 1000);
  CHECK(bm_library_from_file(device, path) == 0 && strlen(lastMessage()) > 0);
  unlink(path);
}

int main(void) {
  CHECK_NUMBER(bm_abi_version(), BM_ABI_VERSION);
  CHECK_NUMBER(bm_error_code(), BM_OK);
  device = openDevice();
  bm_release(compileKernels(device)); // whatever is made once, is made before the first count
  RUN_CASE(staleAndForeignHandlesAreErrors);
  RUN_CASE(handlesNeverMeanASecondObject);
  RUN_CASE(manyBuffersAreAliveAtOnce);
  RUN_CASE(devicesTellOfThemselves);
  RUN_CASE(absurdBufferSizesAreErrors);
  RUN_CASE(sharedBuffersAreZeroedAndPrivateOnesHidden);
  RUN_CASE(wrappedMemoryIsTheCallersOwn);
  RUN_CASE(filesAreMappedWithTheirTails);
  RUN_CASE(transfersMoveAnyByteRange);
  RUN_CASE(longPrivateTransfersGoInPieces);
  RUN_CASE(transfersOutsideOfABufferAreErrors);
  RUN_CASE(librariesListTheirFunctions);
  RUN_CASE(badSourcesAndFilesSayWhy);
  bm_release(device);
  return finishCases();
}
