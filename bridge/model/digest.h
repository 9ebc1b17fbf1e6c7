/* digest.h: SHA-256 (FIPS 180-4), by which a plan knows itself and its model file again. */
#ifndef MODEL_DIGEST_H
#define MODEL_DIGEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct Digest {
  uint32_t state[8];
  uint64_t length; /* bytes so far */
  uint8_t block[64];
} Digest;

void bridgeDigestBegin(Digest *digest);
void bridgeDigestAdd(Digest *digest, const uint8_t *bytes, size_t length);
void bridgeDigestEnd(Digest *digest, uint8_t out[32]);

#endif
