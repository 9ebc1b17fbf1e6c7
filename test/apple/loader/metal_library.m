/*
 * metal_library.m: Metal, as far as this repository's Metal for Linux has it; and CoreGraphics, which only needs to be
 * there.
 */
#import <Metal/Metal.h>

#include "library.h"

/* Where the layer has it. */
extern char MTLBinaryArchiveDomainSymbol[] __asm__("MTLBinaryArchiveDomain") __attribute__((weak));

static const Symbol symbols[] = {
    SAME(MTLCreateSystemDefaultDevice),
    SAME(MTLCopyAllDevices),
    {"_MTLLibraryErrorDomain", (void *)&MTLLibraryErrorDomain},
    {"_MTLCommandBufferErrorDomain", (void *)&MTLCommandBufferErrorDomain},
    {"_MTLBinaryArchiveDomain", MTLBinaryArchiveDomainSymbol},
    {NULL, NULL},
};

/* Classes that this layer lacks are found on a Mac: a weak reference to one stays nil here. */
static const char *const classes[] = {"MTLCompileOptions",
                                      "MTLFunctionConstantValues",
                                      "MTLFunctionDescriptor",
                                      "MTLLinkedFunctions",
                                      "MTLComputePipelineDescriptor",
                                      "MTLComputePassDescriptor",
                                      "MTLHeapDescriptor",
                                      "MTLIndirectCommandBufferDescriptor",
                                      "MTLCommandBufferDescriptor",
                                      "MTLBinaryArchiveDescriptor",
                                      "MTLCounterSampleBufferDescriptor",
                                      "MTLCaptureManager",
                                      "MTLCaptureDescriptor",
                                      "MTLSharedEventListener",
                                      "MTLSharedEventHandle",
                                      "MTLResidencySetDescriptor",
                                      "MTLCommandQueueDescriptor",
                                      "MTLLogStateDescriptor",
                                      NULL};

const Library metalLibrary = {"/System/Library/Frameworks/Metal.framework/Versions/A/Metal", 1 << 16, symbols, classes,
                              NULL};

static const Symbol noSymbols[] = {{NULL, NULL}};

const Library coreGraphicsLibrary = {"/System/Library/Frameworks/CoreGraphics.framework/Versions/A/CoreGraphics",
                                     64 << 16, noSymbols, NULL, NULL};
