/*
 * handle.h: the table between the numbers that callers hold and the objects that they mean.
 *
 * A handle is 20 bits of slot index and 12 bits of generation. A slot's generation rises with every release, and a slot
 * whose generations are used up is retired: no number ever means a second object.
 */
#ifndef BRIDGE_HANDLE_H
#define BRIDGE_HANDLE_H

#import <Foundation/Foundation.h>

#include "bun_metal.h"

/** Gives `object` a handle; the table takes over the caller's reference. 0 with the error set where none is left. */
bm_handle bridgeHandleNew(id object, uint32_t kind);

/** The object of a handle of that kind, retained for the caller: a release in another thread cannot take it away.
 *  nil with the error set for any other handle. */
id bridgeHandleRetain(bm_handle handle, uint32_t kind);

/** How many handles of a kind are live. */
uint32_t bridgeHandleCount(uint32_t kind);

#endif
