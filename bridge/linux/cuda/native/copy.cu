/* copy.cu: copies ranges, each by the blocks of one y: in front of a graph's other kernels, where a copy of the driver's own takes
 * longer to begin and to end than all the bytes. What is read is the CPU's, and never what a cache has of it. */
#include "copy.h"
#include "intrinsics.h"

GLOBAL(CopyThreads, 1) void copy_words(const CopyParameters p) {
  CopyRange range = p.ranges[0];
  UNROLL for (u32 i = 1; i < CopyMostRanges; i++)
    if (i == blockIndexY()) range = p.ranges[i];
  const u32 threads = blockCountX() * CopyThreads, first = blockIndexX() * CopyThreads + threadIndex();
  const u64 both = range.from | range.to;
  const u32 vectors = both % 16 == 0 ? range.bytes / 16 : 0, words = both % 4 == 0 ? range.bytes / 4 : 0;
  for (u32 i = first; i < vectors; i += threads) ((u32x4 *)range.to)[i] = ((const volatile u32x4 *)range.from)[i];
  for (u32 i = vectors * 4 + first; i < words; i += threads) ((u32 *)range.to)[i] = ((const volatile u32 *)range.from)[i];
  for (u32 i = words * 4 + first; i < range.bytes; i += threads) ((u8 *)range.to)[i] = ((const volatile u8 *)range.from)[i];
}
