/*
 * sample_weights.h: the arithmetic of a choice, in whole numbers, as shaders/sample.metal and src/sample/weights.ts have it.
 * Part of sample.cu.
 */

static constexpr u32 unitRate = 0x3fb8aa3b; // log2(e)
static constexpr u32 mostOctaves = 0x7fffffff;
static constexpr u32 minusInfinity = 0xff800000, plusInfinity = 0x7f800000;

/** Numbers that are ordered as floats of these bits: 0 and -0 are the same, and -INFINITY is above 0. */
DEVICE u32 orderOf(u32 bits) {
  if (bits << 1 == 0) return 0x80000000;
  return bits >> 31 == 1 ? ~bits : bits | 0x80000000;
}

DEVICE bool isNaN(u32 bits) { return bits << 1 > 0xff000000; }

/** How far a logit is below the highest: both factors' significands, 2^46 to 2^48, are in units of 2^(exponents - 300). */
DEVICE u32 octavesBelow(float highest, u32 bits, u32 rate) {
  if (bits == minusInfinity) return mostOctaves;
  const u32 difference = bitsOf(highest - floatOf(bits));
  const u32 exponents = (difference >> 23 & 0xff) + (rate >> 23 & 0xff);
  if (exponents > 276 - 16) return mostOctaves;
  if (exponents < 276 - 47) return 0;
  const u64 product = (u64)((difference & 0x7fffff) | 0x800000) * ((rate & 0x7fffff) | 0x800000);
  return minimum((u32)(product >> (276 - exponents)), mostOctaves);
}

DEVICE u32 scaled(u32 value, u32 fraction) { return (u32)((u64)value * fraction >> 24); }

DEVICE u32 weightOf(u32 octaves) {
  if (octaves >= 32u << 24) return 0;
  const u32 f = octaves & 0xffffff;
  const u32 squared = scaled(f, f);
  u32 sum = 685838 - scaled(59021, f);
  sum = scaled(sum, squared) + 29792200 - scaled(5144412, f);
  sum = scaled(sum, squared) + 372130510 - scaled(128969660, f);
  const u32 power = (1u << 29) - scaled(sum, f);
  return power << 2 >> (octaves >> 24);
}

/** The most octaves with at least this weight, from 1 to 2^31. */
DEVICE u32 octavesWith(u32 weight) {
  u32 low = 0, high = 32u << 24;
  while (high - low > 1) {
    const u32 middle = (low + high) / 2;
    if (weightOf(middle) >= weight) low = middle;
    else high = middle;
  }
  return low;
}

/** total * fraction / 2^64, rounded down. */
DEVICE u64 partOf(u64 total, const u32 (&fraction)[2]) {
  const u32 low = (u32)total, high = (u32)(total >> 32);
  const u64 lowest = (u64)low * fraction[1];
  const u64 middle = (u64)low * fraction[0] + (lowest >> 32);
  const u64 other = (u64)high * fraction[1] + (u32)middle;
  return (u64)high * fraction[0] + (middle >> 32) + (other >> 32);
}
