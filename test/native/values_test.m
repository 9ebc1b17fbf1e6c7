/* Apple's numbers: constants and struct layouts of the Metal headers, as two independent binding sets give them. */
#include "check.h"

#import <Metal/Metal.h>

static void structsHaveApplesSizes(void) {
  CHECK_NUMBER(sizeof(NSRange), 16);
  CHECK_NUMBER(sizeof(MTLSize), 24);
  CHECK_NUMBER(sizeof(MTLOrigin), 24);
  CHECK_NUMBER(sizeof(MTLRegion), 48);
  CHECK_NUMBER(sizeof(MTLSizeAndAlign), 16);
  CHECK_NUMBER(sizeof(MTLResourceID), 8);
  CHECK_NUMBER(sizeof(MTLDispatchThreadgroupsIndirectArguments), 12);
  CHECK_NUMBER(sizeof(NSInteger), 8);
  CHECK_NUMBER(sizeof(MTLGPUFamily), 8);
  CHECK_NUMBER(sizeof(MTLResourceOptions), 8);
  CHECK_NUMBER(sizeof(NSStringEncoding), 8);
  CHECK_NUMBER(sizeof(BOOL), 1);
  MTLRegion region = MTLRegionMake3D(1, 2, 3, 4, 5, 6);
  CHECK_NUMBER(region.origin.z * 10 + region.size.depth, 36);
}

static void foundationConstants(void) {
  CHECK_NUMBER(NSUTF8StringEncoding, 4);
  CHECK_NUMBER(NSASCIIStringEncoding, 1);
  CHECK((NSUInteger)NSNotFound == 0x7FFFFFFFFFFFFFFFu);
  CHECK_NUMBER(NSOrderedAscending, -1);
  CHECK_NUMBER(NSOrderedDescending, 1);
}

static void resourceConstants(void) {
  CHECK_NUMBER(MTLResourceStorageModeShared, 0);
  CHECK_NUMBER(MTLResourceStorageModeManaged, 0x10);
  CHECK_NUMBER(MTLResourceStorageModePrivate, 0x20);
  CHECK_NUMBER(MTLResourceStorageModeMemoryless, 0x30);
  CHECK_NUMBER(MTLResourceCPUCacheModeWriteCombined, 1);
  CHECK_NUMBER(MTLResourceHazardTrackingModeUntracked, 0x100);
  CHECK_NUMBER(MTLResourceHazardTrackingModeTracked, 0x200);
  CHECK_NUMBER(MTLStorageModePrivate, 2);
  CHECK_NUMBER(MTLHazardTrackingModeTracked, 2);
  CHECK_NUMBER(MTLPurgeableStateKeepCurrent, 1);
  CHECK_NUMBER(MTLPurgeableStateEmpty, 4);
  CHECK_NUMBER(MTLResourceUsageWrite, 2);
  CHECK_NUMBER(MTLBarrierScopeBuffers, 1);
  CHECK_NUMBER(MTLBarrierScopeTextures, 2);
  CHECK_NUMBER(MTLBarrierScopeRenderTargets, 4);
}

static void commandBufferConstants(void) {
  CHECK_NUMBER(MTLCommandBufferStatusNotEnqueued, 0);
  CHECK_NUMBER(MTLCommandBufferStatusScheduled, 3);
  CHECK_NUMBER(MTLCommandBufferStatusCompleted, 4);
  CHECK_NUMBER(MTLCommandBufferStatusError, 5);
  CHECK_NUMBER(MTLCommandBufferErrorPageFault, 3);
  CHECK_NUMBER(MTLCommandBufferErrorAccessRevoked, 4);
  CHECK_NUMBER(MTLCommandBufferErrorNotPermitted, 7);
  CHECK_NUMBER(MTLCommandBufferErrorInvalidResource, 9);
  CHECK_NUMBER(MTLCommandBufferErrorStackOverflow, 12);
  CHECK_NUMBER(MTLCommandBufferErrorOptionEncoderExecutionStatus, 1);
  CHECK_NUMBER(MTLDispatchTypeSerial, 0);
  CHECK_NUMBER(MTLDispatchTypeConcurrent, 1);
}

static void libraryAndPipelineConstants(void) {
  CHECK_NUMBER(MTLLibraryErrorUnsupported, 1);
  CHECK_NUMBER(MTLLibraryErrorCompileFailure, 3);
  CHECK_NUMBER(MTLLibraryErrorCompileWarning, 4);
  CHECK_NUMBER(MTLLibraryErrorFunctionNotFound, 5);
  CHECK_NUMBER(MTLLibraryErrorFileNotFound, 6);
  CHECK_NUMBER(MTLFunctionTypeKernel, 3);
  CHECK_NUMBER(MTLFunctionTypeObject, 8);
  CHECK_NUMBER(MTLPipelineOptionBindingInfo, 1);
  CHECK_NUMBER(MTLPipelineOptionFailOnBinaryArchiveMiss, 4);
  CHECK_NUMBER(MTLMathModeFast, 2);
  CHECK_NUMBER(MTLMathFloatingPointFunctionsPrecise, 1);
  CHECK_NUMBER(MTLLibraryTypeDynamic, 1);
  CHECK_NUMBER(MTLBindingTypeThreadgroupMemory, 1);
  CHECK_NUMBER(MTLBindingTypeVisibleFunctionTable, 24);
  CHECK_NUMBER(MTLBindingAccessReadWrite, 1);
  const NSUInteger versions[][3] = {{1, 0, MTLLanguageVersion1_0}, {1, 2, MTLLanguageVersion1_2},
                                    {2, 0, MTLLanguageVersion2_0}, {2, 4, MTLLanguageVersion2_4},
                                    {3, 0, MTLLanguageVersion3_0}, {3, 2, MTLLanguageVersion3_2},
                                    {4, 0, MTLLanguageVersion4_0}};
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    CHECK_NUMBER(versions[i][2], versions[i][0] << 16 | versions[i][1]);
  }
}

static void deviceConstants(void) {
  CHECK_NUMBER(sizeof(MTLCommandBufferStatus), 8);
  CHECK_NUMBER(MTLLanguageVersion3_1, 3 << 16 | 1);
  CHECK_NUMBER(MTLCommandBufferErrorDeviceRemoved, 11);
  CHECK_NUMBER(MTLGPUFamilyApple1, 1001);
  CHECK_NUMBER(MTLGPUFamilyApple7, 1007);
  CHECK_NUMBER(MTLGPUFamilyApple10, 1010);
  CHECK_NUMBER(MTLGPUFamilyMac2, 2002);
  CHECK_NUMBER(MTLGPUFamilyCommon3, 3003);
  CHECK_NUMBER(MTLGPUFamilyMetal3, 5001);
  CHECK_NUMBER(MTLGPUFamilyMetal4, 5002);
  CHECK_NUMBER(MTLArgumentBuffersTier2, 1);
  CHECK(MTLDeviceLocationUnspecified == ~(NSUInteger)0);
}

int main(void) {
  RUN_CASE(structsHaveApplesSizes);
  RUN_CASE(foundationConstants);
  RUN_CASE(resourceConstants);
  RUN_CASE(commandBufferConstants);
  RUN_CASE(libraryAndPipelineConstants);
  RUN_CASE(deviceConstants);
  return finishCases();
}
