/* pinned.c: see pinned.h. */
#include "pinned.h"
#include "device.h"

enum {
  SmallestShift = 12, /* a page */
  LargestShift = 23,
  KeptBytes = 64 << 20 /* of pieces that nobody uses, at most */
};

/** A piece that nobody uses; it lies in its own memory. */
typedef struct Piece {
  struct Piece *next;
} Piece;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Piece *pieces[LargestShift + 1]; /* by the logarithm of their length */
static size_t kept;

/* The logarithm of the length that a piece has; 0 for what is not kept. */
static unsigned shiftOf(size_t length) {
  unsigned shift = SmallestShift;
  while (shift <= LargestShift && (size_t)1 << shift < length) shift++;
  return shift > LargestShift || cudaChecksMemory() ? 0 : shift;
}

static Piece *takeKept(unsigned shift) {
  pthread_mutex_lock(&lock);
  Piece *piece = pieces[shift];
  if (piece) {
    pieces[shift] = piece->next;
    kept -= (size_t)1 << shift;
  }
  pthread_mutex_unlock(&lock);
  return piece;
}

/* One of the largest, to make room; NULL if there is none. */
static Piece *takeAny(void) {
  Piece *piece = NULL;
  for (unsigned shift = LargestShift; shift >= SmallestShift && !piece; shift--) piece = takeKept(shift);
  return piece;
}

CudaResult cudaPinnedTake(size_t length, void **memory) {
  const unsigned shift = shiftOf(length);
  *memory = shift ? takeKept(shift) : NULL;
  if (*memory) return CudaSuccess;
  CudaResult result;
  Piece *room;
  do {
    result = cudaApi()->MemHostAlloc(memory, shift ? (size_t)1 << shift : length, CudaHostPortable | CudaHostDeviceMap);
    room = result == CudaErrorOutOfMemory ? takeAny() : NULL;
    if (room) cudaApi()->MemFreeHost(room);
  } while (room);
  return result;
}

void cudaPinnedGive(void *memory, size_t length) {
  const unsigned shift = shiftOf(length);
  const size_t bytes = (size_t)1 << shift;
  pthread_mutex_lock(&lock);
  const bool isKept = shift != 0 && kept + bytes <= KeptBytes;
  if (isKept) {
    Piece *piece = memory;
    piece->next = pieces[shift];
    pieces[shift] = piece;
    kept += bytes;
  }
  pthread_mutex_unlock(&lock);
  if (!isKept) cudaApi()->MemFreeHost(memory);
}
