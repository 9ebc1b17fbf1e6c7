/*
 * The block runtime's C interface, as <Block.h> on Apple. Unlike the one that Linux distributions carry, a copied block
 * retains the objects that it captures, and blocks can be sent retain, release, copy and autorelease.
 */
#ifndef BUN_METAL_LINUX_BLOCK_H
#define BUN_METAL_LINUX_BLOCK_H

#ifdef __cplusplus
extern "C" {
#endif

/** A block on the heap, +1: a new one for a block on the stack, the same one retained otherwise. */
extern void *_Block_copy(const void *block);
extern void _Block_release(const void *block);

/* Called by code that the compiler emits. */
extern void _Block_object_assign(void *destination, const void *object, int flags);
extern void _Block_object_dispose(const void *object, int flags);

#define Block_copy(...) ((__typeof(__VA_ARGS__))_Block_copy((const void *)(__VA_ARGS__)))
#define Block_release(...) _Block_release((const void *)(__VA_ARGS__))

#ifdef __cplusplus
}
#endif
#endif
