/*
 * diagnostics.h: clang's messages, told in the words of MSL and with the user's files and lines only.
 */
#ifndef BUN_METAL_MSL_DIAGNOSTICS_H
#define BUN_METAL_MSL_DIAGNOSTICS_H

#include "text.h"

/** Appends the messages in `raw` (clang's output without carets) to `out`. Files under `headers` or in `temporary`
 * are ours: what clang says about them is told about the user's line that led there. */
void mslDiagnostics(MslText *out, const char *raw, const char *headers, const char *temporary);

#endif
