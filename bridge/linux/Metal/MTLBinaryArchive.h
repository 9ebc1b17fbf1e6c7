#ifndef METAL_MTLBINARYARCHIVE_H
#define METAL_MTLBINARYARCHIVE_H

#import <Metal/MTLTypes.h>

@class MTLComputePipelineDescriptor;

extern NSErrorDomain const MTLBinaryArchiveDomain API_AVAILABLE(macos(11.0), ios(14.0));

typedef NS_ENUM(NSUInteger, MTLBinaryArchiveError) {
  MTLBinaryArchiveErrorNone = 0,
  MTLBinaryArchiveErrorInvalidFile = 1,
  MTLBinaryArchiveErrorUnexpectedElement = 2,
  MTLBinaryArchiveErrorCompilationFailure = 3,
  MTLBinaryArchiveErrorInternalError = 4,
};

API_AVAILABLE(macos(11.0), ios(14.0)) @interface MTLBinaryArchiveDescriptor : NSObject <NSCopying> {
  NSURL *_url;
}
/** The file of an archive; nil makes an empty one. */
@property (copy, nonatomic) NSURL *url;
@end

/** Compiled pipelines in a file. Tied to the device and the build of the system that made it: a file that cannot be
 *  loaded is a miss, no more. */
API_AVAILABLE(macos(11.0), ios(14.0)) @protocol MTLBinaryArchive <NSObject>
@property (copy, atomic) NSString *label;
@property (readonly) id<MTLDevice> device;
- (BOOL)addComputePipelineFunctionsWithDescriptor:(MTLComputePipelineDescriptor *)descriptor error:(NSError **)error;
- (BOOL)serializeToURL:(NSURL *)url error:(NSError **)error;
@end

#endif
